"""What a person fills in: to start a run, tick a flip, promote a release, try it on live photos, roll back."""

from django import forms

from predictions.models import LiveTest, Release
from training.models import FlipCause, TrainingRun


class StartForm(forms.Form):
    kind = forms.ChoiceField(label="What to train", choices=TrainingRun.Kind, initial=TrainingRun.Kind.BOTH)
    reason = forms.CharField(label="Why", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


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
