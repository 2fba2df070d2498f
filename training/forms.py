"""What a person fills in to start a run, to promote a release, to roll back."""

from typing import Any

from django import forms

from training.models import FlipCause, TrainingRun


class StartForm(forms.Form):
    kind = forms.ChoiceField(label="What to train", choices=TrainingRun.Kind, initial=TrainingRun.Kind.BOTH)
    reason = forms.CharField(label="Why", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


class PromoteForm(ReasonForm):
    """With one field `cause_<image id>` for each test photo that turns from right to wrong."""

    acknowledge_too_few = forms.BooleanField(
        label="I know that there are too few test photos to judge this release", required=False
    )

    def __init__(self, *args: Any, flips: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for image in flips:
            choices = [("", "not opened yet"), *FlipCause.Cause.choices]
            self.fields[f"cause_{image}"] = forms.ChoiceField(label="Cause", choices=choices, required=False)

    @property
    def causes(self) -> dict[str, str]:
        """{image id: cause}, without those left open."""
        return {
            name.removeprefix("cause_"): value
            for name, value in self.cleaned_data.items()
            if name.startswith("cause_") and value
        }
