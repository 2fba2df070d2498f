"""Serializers of uploads and results. Field names are part of the API; each field's help text defines it."""

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from rest_framework import serializers

from cataract.core.errors import BadField
from cataract.core.http.limits import with_limits
from predictions.answering.models import Prediction
from predictions.answering.wording import confidence, describe, model_used
from predictions.photos.models import EyeImage
from predictions.photos.serializers import FactsSerializer
from predictions.photos.validators import LABEL_LENGTH, check_captured_at


class UploadSerializer(FactsSerializer):
    """A photo to judge. Unknown fields are refused by name."""

    photo = serializers.FileField(
        allow_empty_file=True,  # photos.intake gives the better message
        help_text=with_limits(
            "One JPEG, PNG or WebP photo of the front of an eye, or a DICOM file that holds one; at most {max_photo}."
        ),
    )
    patient = serializers.CharField(
        source="patient_key",
        required=False,
        default="",
        allow_blank=True,
        max_length=64,
        help_text="The patient's pseudonym, never a name.",
    )
    eye = serializers.ChoiceField(choices=EyeImage.Eye.known(), help_text="OD is the right eye, OS the left.")
    mode = serializers.ChoiceField(
        choices=Prediction.Mode.choices,
        default=Prediction.Mode.CASCADE,
        help_text="cascade: the accurate model in the unsure band only. fast, accurate: one model. always: both.",
    )
    site = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    device = serializers.CharField(required=False, default="", allow_blank=True, max_length=LABEL_LENGTH)
    captured_at = serializers.DateTimeField(required=False, default=None, allow_null=True)
    may_train = serializers.BooleanField(required=False, default=True, help_text="Consent to train with this photo.")
    send_anyway = serializers.BooleanField(
        required=False, default=False, help_text="Predict again for a photo that is already stored for this eye."
    )

    def validate_captured_at(self, value: Any) -> Any:
        if value is not None:
            check_captured_at(value)
        return value


def one_photo(files: Any) -> "UploadedFile[Any]":
    """The one file named `photo`. Raises BadField (400) when there is none, or more than one."""
    sent = files.getlist("photo") if hasattr(files, "getlist") else []
    if not sent:
        raise BadField(
            "photo", "Choose or take a photo: send one file in the field `photo`.", code="file_required", status=400
        )
    if len(sent) > 1:
        raise BadField("photo", "Send one photo at a time in the field `photo`.", code="too_many_files", status=400)
    photo: UploadedFile[Any] = sent[0]
    return photo


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    """One result. While `status` is `queued`, all model fields are empty."""

    prediction = serializers.SerializerMethodField(
        help_text="cataract, normal or ungradable; null while queued and when only a clinician can answer."
    )
    confidence = serializers.SerializerMethodField(
        help_text="Calibrated probability of the class in `prediction`, 0.5 to 1; null when no class was answered."
    )
    probabilities = serializers.SerializerMethodField(help_text="Calibrated, by class; they sum to 1. Null as above.")
    model_used = serializers.SerializerMethodField(help_text="fast, accurate, fast+accurate, or none.")
    models = serializers.SerializerMethodField(
        help_text="For each model its raw log-odds (`score`) and its calibrated probability of cataract."
    )
    processing_time = serializers.SerializerMethodField(
        help_text="Seconds from the first check of the photo to its answer; null while queued."
    )
    timings = serializers.JSONField(read_only=True, help_text="Milliseconds by stage; `total` is their sum.")
    message = serializers.SerializerMethodField(help_text="The answer in words.")
    next = serializers.SerializerMethodField(help_text="What to do now, in words.")
    advice = serializers.SerializerMethodField(help_text="How to retake an ungradable photo, else empty.")
    release = serializers.CharField(source="release_id", allow_null=True, read_only=True)
    image = serializers.SerializerMethodField(help_text="The stored photo.")
    intended_use = serializers.SerializerMethodField()

    class Meta:
        model = Prediction
        fields = (
            "id",
            "status",
            "mode",
            "prediction",
            "confidence",
            "probabilities",
            "model_used",
            "models",
            "decision",
            "needs_review",
            "reasons",
            "message",
            "next",
            "advice",
            "release",
            "policy_version",
            "processing_time",
            "timings",
            "image",
            "created_at",
            "done_at",
            "intended_use",
        )
        read_only_fields = fields

    def get_prediction(self, row: Prediction) -> str | None:
        return row.decision or None

    def get_confidence(self, row: Prediction) -> float | None:
        return confidence(row)

    def get_probabilities(self, row: Prediction) -> dict[str, float] | None:
        if row.probability is None or confidence(row) is None:
            return None
        return {"cataract": row.probability, "normal": 1 - row.probability}

    def get_model_used(self, row: Prediction) -> str:
        return model_used(row)

    def get_models(self, row: Prediction) -> dict[str, dict[str, float | None]]:
        return {
            "fast": {"score": row.fast_score, "probability": row.fast_probability},
            "accurate": {"score": row.accurate_score, "probability": row.accurate_probability},
        }

    def get_processing_time(self, row: Prediction) -> float | None:
        total = row.timings.get("total")
        return None if total is None else round(total / 1000, 4)

    def get_message(self, row: Prediction) -> str:
        return describe(row).headline

    def get_next(self, row: Prediction) -> str:
        return describe(row).next

    def get_advice(self, row: Prediction) -> str:
        return describe(row).advice

    def get_image(self, row: Prediction) -> dict[str, Any]:
        image = row.image
        return {
            "id": str(image.pk),
            "sha256": image.sha256,
            "patient": image.patient_key,
            "eye": image.eye,
            "width": image.width,
            "height": image.height,
            "near_duplicate_of": str(image.near_duplicate_of_id) if image.near_duplicate_of_id else None,
        }

    def get_intended_use(self, row: Prediction) -> str:
        return settings.INTENDED_USE
