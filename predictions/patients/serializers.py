"""Serializers of patients. Field names are part of the API; each field's help text defines it."""

from typing import Any

from rest_framework import serializers

from predictions.patients.findings import Finding
from predictions.photos.models import EyeImage
from predictions.results.serializers import PredictionSerializer


class EyeOverviewSerializer(serializers.Serializer[Any]):
    """One eye: the result that counts is that of its newest photo that no retake has replaced."""

    eye = serializers.ChoiceField(EyeImage.Eye.choices, help_text="OD right, OS left; empty where it was not stated.")
    finding = serializers.ChoiceField(
        [(each.value, each.words) for each in Finding],
        allow_null=True,
        help_text="cataract, other, ungradable, waiting or normal, the worst first; null without a photo.",
    )
    refer_unjudged = serializers.BooleanField(help_text="Two or more photos in a row could not be judged: refer.")
    message = serializers.CharField(source="words.headline", default="No photo yet.", help_text="The answer in words.")
    next = serializers.CharField(help_text="What to do now, in words.")
    result = serializers.UUIDField(
        source="counting.pk", default=None, allow_null=True, help_text="The id of the result that counts."
    )


class PatientSerializer(serializers.Serializer[Any]):
    """One patient with the result that counts for each eye."""

    id = serializers.UUIDField(source="patient.pk")
    key = serializers.CharField(source="patient.key", help_text="The pseudonym.")
    site = serializers.CharField(source="patient.site.name")
    last_photo_at = serializers.DateTimeField(source="patient.last_photo_at", help_text="When the last photo arrived.")
    worst_eye = serializers.CharField(
        source="worst.eye", default=None, allow_null=True, help_text="The eye that leads."
    )
    eyes = EyeOverviewSerializer(many=True, help_text="Right eye, left eye, then photos whose eye was not stated.")


class VisitSerializer(serializers.Serializer[Any]):
    """The photos of one day at one site."""

    day = serializers.DateField(help_text="The local day, by when the photos were taken, else by when they arrived.")
    site = serializers.CharField(source="site.name")
    results = PredictionSerializer(many=True, source="photos")


class PatientHistorySerializer(PatientSerializer):
    """One patient with every visit, the newest first."""

    visits = VisitSerializer(many=True)
