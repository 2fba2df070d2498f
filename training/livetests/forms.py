"""The form that starts a live test."""

from django import forms

from predictions.releases.models import LiveTest, Release
from training.comparison.forms import ReasonForm
from training.livetests.services import MAX_PHOTOS, MIN_PHOTOS, USUAL_PHOTOS


class LiveTestForm(ReasonForm):
    """How a challenger is tried beside the champion."""

    release = forms.ModelChoiceField(
        label="Challenger",
        queryset=Release.objects.in_status(Release.Status.CHALLENGER, Release.Status.RETIRED),
    )
    kind = forms.ChoiceField(label="How", choices=LiveTest.Kind, widget=forms.RadioSelect, initial=LiveTest.Kind.SHADOW)
    photos = forms.IntegerField(
        label="For how many photos", min_value=MIN_PHOTOS, max_value=MAX_PHOTOS, initial=USUAL_PHOTOS
    )
    share = forms.FloatField(
        label="A/B: share of patients (0.1 is one in ten)", min_value=0.01, max_value=LiveTest.MAX_SHARE, required=False
    )
    acknowledge_too_few = forms.BooleanField(
        label="A/B: I know that there are too few photos to judge this release", required=False
    )
    field_order = ("release", "kind", "share", "acknowledge_too_few", "photos", "reason")
