"""What a person fills in: to start a run, tick a flip, promote a release, try it on live photos, roll back."""

from typing import Any

from django import forms

from predictions.models import LiveTest, Release
from training.models import FlipCause, TrainingRun


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
    trials = forms.IntegerField(
        label="Trials of the search for the fast model", min_value=1, max_value=500, initial=20, required=False
    )
    minutes = forms.FloatField(
        label="... but no more than these minutes", min_value=0.1, max_value=240, initial=10, required=False
    )
    epochs = forms.IntegerField(
        label="Epochs of the accurate model, at most", min_value=1, max_value=200, initial=40, required=False
    )
    distil = forms.BooleanField(
        label="Let the champion's accurate model teach the fast one on photos without a label", required=False
    )
    teach_weight = forms.FloatField(
        label="What such a photo weighs beside a labelled one", min_value=0.01, max_value=1, initial=0.3, required=False
    )
    teach_floor = forms.FloatField(
        label="How sure the teacher must be (0.5 to 1)", min_value=0.5, max_value=1, initial=0.9, required=False
    )

    @property
    def budget(self) -> list[forms.BoundField]:
        """The fields that usually stay as they are."""
        names = ("trials", "minutes", "epochs", "distil", "teach_weight", "teach_floor")
        return [self[name] for name in names]

    def request(self) -> dict[str, Any]:
        """What `services.start_training` takes; a field that was left empty keeps its default."""
        said = {**{name: field.initial for name, field in self.fields.items()}, **_given(self.cleaned_data)}
        parameters = {"trials": said["trials"], "seconds": 60 * said["minutes"], "epochs": said["epochs"]}
        if said["distil"]:
            parameters["distillation"] = {"weight": said["teach_weight"], "floor": said["teach_floor"]}
        request = {"kind": said["kind"], "base": self.cleaned_data["base"], "reason": said["reason"] or ""}
        return {**request, "parameters": parameters}


def _given(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in (None, "")}


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
