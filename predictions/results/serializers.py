"""Serializers of results. Field names are part of the API; each field's help text defines it."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from predictions.answering.final_results import facts_of
from predictions.answering.models import FinalResult, Prediction
from predictions.results.wording import REASONS, confidence, describe, model_used


class FinalResultSerializer(serializers.ModelSerializer[FinalResult]):
    """What counts in the end, and how it was reached. A reader's name is never part of it."""

    detail = serializers.CharField(
        read_only=True, help_text="Why the photo cannot be judged, or which other pathology; often empty."
    )

    class Meta:
        model = FinalResult
        fields = ("answer", "detail", "basis", "status", "contradicts_ai", "reason", "at")
        read_only_fields = fields

    def to_representation(self, instance: FinalResult) -> dict[str, Any]:
        """The same as a webhook holds."""
        return facts_of(instance)


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    """One result. While `status` is `queued`, all model fields are empty."""

    prediction = serializers.SerializerMethodField(
        help_text="cataract, normal (no sign of cataract; nothing else is checked) or ungradable; null while queued "
        "and when only a clinician can answer."
    )
    confidence = serializers.SerializerMethodField(
        help_text="Calibrated probability of the class in `prediction`, 0.5 to 1; null when no class was answered."
    )
    probabilities = serializers.SerializerMethodField(help_text="Calibrated, by class; they sum to 1. Null as above.")
    state = serializers.ChoiceField(
        Prediction.State.choices,
        read_only=True,
        help_text="queued, waiting (for a clinician), provisional, final, amended, or replaced (by a retake).",
    )
    final_result = FinalResultSerializer(
        read_only=True,
        allow_null=True,
        help_text="Null while it waits. It never overwrites `decision`, the AI's answer.",
    )
    replaced_by = serializers.UUIDField(
        source="replaced_by_id",
        allow_null=True,
        read_only=True,
        help_text="The result of the retake that counts instead; null without one.",
    )
    model_used = serializers.SerializerMethodField(help_text="fast, accurate, fast+accurate, or none.")
    models = serializers.SerializerMethodField(
        help_text="For each model its raw log-odds (`score`) and its calibrated probability of cataract."
    )
    processing_time = serializers.SerializerMethodField(
        help_text="Seconds from the first check of the photo to its answer; null while queued."
    )
    timings = serializers.JSONField(read_only=True, help_text="Milliseconds by stage; `total` is their sum.")
    reasons = serializers.ListField(
        child=serializers.ChoiceField(list(REASONS.items())),
        read_only=True,
        help_text="Why a clinician reads the photo.",
    )
    message = serializers.SerializerMethodField(
        help_text="The answer in words. An automatic `normal` says that the photo was checked for cataract only."
    )
    next = serializers.SerializerMethodField(help_text="What to do now, in words.")
    advice = serializers.SerializerMethodField(help_text="How to retake an ungradable photo, else empty.")
    release = serializers.CharField(source="release_id", allow_null=True, read_only=True)
    image = serializers.SerializerMethodField(
        help_text="The stored photo. `wrong_patient_check` is `open` while nobody has said whose photo it is: a "
        "near-copy belongs to another patient. `withdrawn_at`: it was sent by mistake."
    )
    intended_use = serializers.SerializerMethodField()

    class Meta:
        model = Prediction
        fields = (
            "id",
            "status",
            "state",
            "final_result",
            "replaced_by",
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
            "may_train": image.may_train,
            "near_duplicate_of": str(image.near_duplicate_of_id) if image.near_duplicate_of_id else None,
            "wrong_patient_check": "open" if row.asks_whose_photo else "none",
            "corrected_at": image.corrected_at,
            "withdrawn_at": image.withdrawn_at,
        }

    def get_intended_use(self, row: Prediction) -> str:
        return settings.INTENDED_USE
