"""What the API takes and gives about training."""

from typing import Any

from rest_framework import serializers

from predictions.models import Promotion
from training.models import FlipCause, TrainingRun
from training.tracking import run_url


class StartSerializer(serializers.Serializer[Any]):
    model = serializers.ChoiceField(choices=TrainingRun.Kind.choices, default=TrainingRun.Kind.BOTH)
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class TrainingRunSerializer(serializers.ModelSerializer[TrainingRun]):
    model = serializers.CharField(source="kind")
    dataset = serializers.CharField(source="dataset_id")
    base_release = serializers.CharField(source="base_release_id")
    release = serializers.CharField(source="release_id", allow_null=True)
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


class PromoteSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000)
    acknowledge_too_few = serializers.BooleanField(default=False)
    causes = serializers.DictField(
        child=serializers.ChoiceField(choices=FlipCause.Cause.choices),
        default=dict,
        help_text="For each test photo that turns from right to wrong: image id -> cause.",
    )


class RollbackSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000)


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    release = serializers.CharField(source="release_id")
    previous = serializers.CharField(source="previous_id", allow_null=True)

    class Meta:
        model = Promotion
        fields = ("release", "previous", "reason", "is_rollback", "created_at")
        read_only_fields = fields
