"""Forms of look-backs: start one, filter its answers, send photos to readers."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from predictions.releases.models import Release
from review.lookback.ranking import Filters


class StartForm(forms.Form):
    """Which photos, and which release scores them again."""

    release = forms.ModelChoiceField(Release.objects.none(), label="Photos decided by")
    since = forms.DateField(label="First day", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    until = forms.DateField(label="Last day", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    by_release = forms.ModelChoiceField(Release.objects.none(), label="Score again by")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("release", "by_release"):
            choice = self.fields[name]
            assert isinstance(choice, forms.ModelChoiceField)
            choice.queryset = Release.objects.exclude(status=Release.Status.BASE)


class FilterForm(forms.Form):
    """The filters of the answers, as they stand in the address. Invalid ones do not filter."""

    was = forms.ChoiceField(
        label="Answered before", required=False, choices=[("cleared", "No cataract"), ("called", "Cataract")]
    )
    now = forms.ChoiceField(
        label="Answer now",
        required=False,
        choices=[
            ("", "Any"), ("cataract", "Cataract"), ("normal", "No cataract"), ("ungradable", "Cannot judge"),
            ("error", "Not scored"),
        ],
    )  # fmt: skip
    at_least = forms.FloatField(label="Probability of cataract from", required=False, min_value=0, max_value=1)
    sent = forms.ChoiceField(
        label="Sent to readers", required=False, choices=[("", "Any"), ("no", "Not sent"), ("yes", "Sent")]
    )

    def filters(self) -> Filters:
        """The valid filters."""
        self.full_clean()
        return Filters(**{name: value for name, value in self.cleaned_data.items() if value not in ("", None)})


class SendForm(forms.Form):
    """Which of these rows go to readers: all of them, or those that are ticked."""

    which = forms.ChoiceField(choices=[("all", "all"), ("ticked", "ticked")])

    def __init__(self, *args: Any, rows: QuerySet[Any], **options: Any) -> None:
        super().__init__(*args, **options)
        self.all_rows = rows
        self.fields["rows"] = forms.ModelMultipleChoiceField(rows, required=False)

    def chosen(self) -> list[Any]:
        """The chosen rows; call it on a valid form."""
        return list(self.all_rows if self.cleaned_data["which"] == "all" else self.cleaned_data["rows"])
