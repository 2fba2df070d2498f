"""The search form of the audit log."""

from datetime import timedelta

from django import forms

from cataract.core.audit.models import Act
from cataract.ops.audit.entries import Search


def _day(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label, required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )


class SearchForm(forms.Form):
    """Who, what, about what, when."""

    act = forms.ChoiceField(label="What", required=False, choices=[("", "Anything"), *Act.choices])
    username = forms.CharField(label="Who", required=False, max_length=150, help_text="The user name.")
    object = forms.CharField(
        label="About", required=False, max_length=64, help_text="The id of a photo, case, release, ..."
    )
    address = forms.CharField(label="From the address", required=False, max_length=64)
    since = _day("First day")
    until = _day("Last day")
    before = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def search(self) -> Search:
        """What the valid fields ask for; the last day is included."""
        asked = {name: value for name, value in self.cleaned_data.items() if value and name != "before"}
        if "until" in asked:
            asked["until"] += timedelta(days=1)
        return Search(**asked)
