"""Requests and answers of the training API."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from predictions.releases.models import Release
from training.runs.models import TrainingRun
from training.runs.parameters import CHOICES, DISTIL_LABEL, KEPT, PROMISE, SEARCH_LABEL, SEARCHES, parameters_of
from training.tracking.mlflow_client import run_url


def _number(name: str) -> serializers.Field[Any, Any, Any, Any]:
    """The field of one of `training.runs.parameters.CHOICES`; left out, it keeps its default."""
    choice = CHOICES[name]
    limits: dict[str, Any] = {"min_value": choice.type(choice.low), "max_value": choice.type(choice.high)}
    meaning = f"{choice.label}. {KEPT}" if name in PROMISE else choice.label
    shown: dict[str, Any] = {"help_text": meaning, "required": False}
    if choice.default is not None:
        shown = {"help_text": choice.label, "default": choice.type(choice.default)}
    if choice.type is int:
        return serializers.IntegerField(**limits, **shown)
    return serializers.FloatField(**limits, **shown, validators=[_refuse_nan])  # which is neither above nor below


def _refuse_nan(value: float) -> None:
    if value != value:
        raise serializers.ValidationError("A valid number is required.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "the fast model, with a larger search",
            value={"model": "fast", "reason": "fifty new labels", "trials": 60, "minutes": 20},
            request_only=True,
        ),
        OpenApiExample(
            "both, and the accurate model teaches the fast one",
            value={"model": "both", "reason": "a new site", "epochs": 20, "distil": True, "teach_floor": 0.95},
            request_only=True,
        ),
    ]
)
class StartSerializer(serializers.Serializer[Any]):
    model = serializers.ChoiceField(choices=TrainingRun.Kind.choices, default=TrainingRun.Kind.BOTH)
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    search = serializers.ChoiceField(choices=SEARCHES, default=SEARCHES[0][0], help_text=SEARCH_LABEL)
    trials = _number("trials")
    minutes = _number("minutes")
    epochs = _number("epochs")
    distil = serializers.BooleanField(default=False, help_text=DISTIL_LABEL)
    teach_weight = _number("teach_weight")
    teach_floor = _number("teach_floor")
    max_missed = _number("max_missed")
    max_false_alarms = _number("max_false_alarms")
    confidence = _number("confidence")
    prevalence = _number("prevalence")
    base_release: Any = serializers.PrimaryKeyRelatedField(
        queryset=Release.objects.exclude(status=Release.Status.REJECTED),
        required=False,
        default=None,
        allow_null=True,
        help_text="Whose encoder to start from; the champion's when not given.",
    )

    def request(self) -> dict[str, Any]:
        """The arguments of `services.start_training`."""
        values = self.validated_data
        return {
            "kind": values["model"],
            "base": values["base_release"],
            "reason": values["reason"],
            "parameters": parameters_of(values),
        }


class TrainingRunSerializer(serializers.ModelSerializer[TrainingRun]):
    model = serializers.CharField(source="kind")
    dataset = serializers.CharField(source="dataset_id")
    base_release = serializers.CharField(source="base_release_id")
    release = serializers.CharField(source="release_id", allow_null=True)
    parameters: Any = serializers.DictField(
        read_only=True, help_text="Budget, teaching, promise; the search's in seconds."
    )
    asked_for_by = serializers.CharField(help_text="A person, a trigger with its reason, or the command line.")
    mlflow_url = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRun
        fields = (
            "id",
            "model",
            "status",
            "stage",
            "percent",
            "eta_seconds",
            "dataset",
            "base_release",
            "release",
            "parameters",
            "asked_for_by",
            "reason",
            "error",
            "created_at",
            "started_at",
            "finished_at",
            "mlflow_url",
        )
        read_only_fields = fields

    def get_mlflow_url(self, run: TrainingRun) -> str:
        return run_url(run.mlflow_experiment_id, run.mlflow_run_id)
