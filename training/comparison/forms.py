"""The base form of other rooms: changing the serving release needs a reason."""

from django import forms


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
