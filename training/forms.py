"""What a person fills in: to start a run, tick a flip, promote a release, try it on live photos, roll back."""

from typing import Any

from django import forms

from predictions.models import LiveTest, Release
from training.models import FlipCause, TrainingRun
from training.parameters import CHOICES, TEACH_LABEL, parameters_of


def _number(name: str) -> forms.Field:
    """The field of one of `training.parameters.CHOICES`; empty it keeps its default."""
    choice = CHOICES[name]
    field: Any = forms.IntegerField if choice.type is int else forms.FloatField
    made: forms.Field = field(
        label=choice.label,
        min_value=choice.type(choice.low),
        max_value=choice.type(choice.high),
        initial=choice.default,
        required=False,
    )
    return made


class StartForm(forms.Form):
    kind = forms.ChoiceField(label="What to train", choices=TrainingRun.Kind, initial=TrainingRun.Kind.BOTH)
    base = forms.ModelChoiceField(
        label="Start from the encoder of",
        queryset=Release.objects.exclude(status=Release.Status.REJECTED),
        required=False,
        empty_label="the champion",
        help_text="A base release (`manage.py change_encoder`) brings another encoder; train both models from it.",
    )
    reason = forms.CharField(label="Why", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2}))
    trials = _number("trials")
    minutes = _number("minutes")
    epochs = _number("epochs")
    distil = forms.BooleanField(label=TEACH_LABEL, required=False)
    teach_weight = _number("teach_weight")
    teach_floor = _number("teach_floor")

    @property
    def budget(self) -> list[forms.BoundField]:
        """The fields that usually stay as they are."""
        names = ("trials", "minutes", "epochs", "distil", "teach_weight", "teach_floor")
        return [self[name] for name in names]

    def request(self) -> dict[str, Any]:
        """What `services.start_training` takes; a field that was left empty keeps its default."""
        said = self.cleaned_data
        return {
            "kind": said["kind"],
            "base": said["base"],
            "reason": said["reason"],
            "parameters": parameters_of(said),
        }


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))


class PromoteForm(ReasonForm):
    acknowledge_too_few = forms.BooleanField(
        label="I know that there are too few photos to judge this release", required=False
    )


class FlipForm(forms.Form):
    """Why it is accepted that the challenger gets this photo wrong."""

    cause = forms.ChoiceField(label="Cause", choices=FlipCause.Cause, widget=forms.RadioSelect)


class LiveTestForm(ReasonForm):
    """How a challenger is tried beside the champion."""

    release = forms.ModelChoiceField(
        label="Challenger",
        queryset=Release.objects.in_status(Release.Status.CHALLENGER, Release.Status.RETIRED),
    )
    kind = forms.ChoiceField(label="How", choices=LiveTest.Kind, widget=forms.RadioSelect, initial=LiveTest.Kind.SHADOW)
    photos = forms.IntegerField(label="For how many photos", min_value=1, max_value=20_000, initial=500)
    share = forms.FloatField(
        label="A/B: share of patients (0.1 is one in ten)", min_value=0.01, max_value=LiveTest.MAX_SHARE, required=False
    )
    acknowledge_too_few = forms.BooleanField(
        label="A/B: I know that there are too few photos to judge this release", required=False
    )
    field_order = ("release", "kind", "share", "acknowledge_too_few", "photos", "reason")
