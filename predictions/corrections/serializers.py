"""Corrections as the API takes and gives them."""

from typing import Any

from rest_framework import serializers

from predictions.corrections.models import REASON_LENGTH, Correction
from predictions.photos.models import EyeImage
from predictions.photos.validators import PATIENT_KEY


class CorrectionCreateSerializer(serializers.Serializer[Any]):
    """What is wrong with a photo, and why."""

    kind = serializers.ChoiceField(
        Correction.Kind.choices,
        help_text="wrong_eye (with `eye`), wrong_patient (with `patient`), wrong_photo or duplicate (withdraw the "
        "photo), restored (bring it back).",
    )
    eye = serializers.ChoiceField(EyeImage.Eye.known(), required=False, help_text="The right one, for wrong_eye.")
    patient = serializers.CharField(
        required=False, max_length=64, validators=[PATIENT_KEY], help_text="The right pseudonym, for wrong_patient."
    )
    reason = serializers.CharField(max_length=REASON_LENGTH, help_text="Required; it stays on record.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = {Correction.Kind.WRONG_EYE: "eye", Correction.Kind.WRONG_PATIENT: "patient"}
        for kind, field in needed.items():
            if (attrs["kind"] == kind) != (field in attrs):
                words = f"Needed for {kind}." if attrs["kind"] == kind else f"Only for {kind}."
                raise serializers.ValidationError({field: words})
        return attrs


class CorrectionSerializer(serializers.ModelSerializer[Correction]):
    """One correction; `before` and `after` hold the eye or the pseudonym."""

    by = serializers.CharField(source="by.username", read_only=True)

    class Meta:
        model = Correction
        fields = ("id", "kind", "before", "after", "reason", "by", "at")
        read_only_fields = fields
