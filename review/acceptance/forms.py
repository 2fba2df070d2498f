"""The form by which an admin decides about one side."""

from django import forms

from review.acceptance.models import Progress

ACCEPT, WITHDRAW, COUNT = "accept", "withdraw", "count"


class DecideForm(forms.Form):
    """Which side, what to do with it, and why."""

    progress = forms.ModelChoiceField(Progress.objects.select_related("release"), widget=forms.HiddenInput)
    act = forms.ChoiceField(choices=[(ACCEPT, "Accept"), (WITHDRAW, "Withdraw"), (COUNT, "Count again from now")])
    reason = forms.CharField(
        label="Why?",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Say why."},
    )
