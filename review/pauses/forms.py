"""The form that lifts a pause."""

from django import forms


class LiftForm(forms.Form):
    reason = forms.CharField(label="Why?", max_length=1000, help_text="Kept on record with your name.")
