"""What a person fills in: to start a run, tick a flip, promote a release, try it on live photos, roll back."""

from django import forms


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
