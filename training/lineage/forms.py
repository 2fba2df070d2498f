"""The form that trains again without some photos."""

from django import forms


class RetrainForm(forms.Form):
    reason = forms.CharField(label="Why?", max_length=500, error_messages={"required": "Say why."})
