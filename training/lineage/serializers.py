"""What the API says about lineage."""

from typing import Any

from rest_framework import serializers

from training.lineage.asked import Asked


class DatasetUseSerializer(serializers.Serializer[Any]):
    fingerprint = serializers.CharField()
    photos = serializers.IntegerField(help_text="How many of the photos it holds.")


class RunUseSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    dataset = serializers.CharField()
    roles = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Photos by what the run did with them: fitted, calibrated, tested, taught (distillation).",
    )
    release = serializers.CharField(allow_null=True)
    mlflow_run_id = serializers.CharField(help_text="Empty when MLflow has no record.")


class LineageSerializer(serializers.Serializer[Any]):
    """What learned from some photos, or from a reader's labels."""

    may_still_train = serializers.BooleanField(help_text="Whether the next dataset may hold them.")
    datasets = DatasetUseSerializer(many=True)
    runs = RunUseSerializer(many=True)
    learned = serializers.ListField(child=serializers.CharField(), help_text="Releases fitted on them.")
    descendants = serializers.ListField(child=serializers.CharField(), help_text="Releases trained from those.")
    measured = serializers.ListField(
        child=serializers.CharField(), help_text="Releases that met them in calibration or in the test only."
    )


class RetrainSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


def as_json(asked: Asked) -> dict[str, Any]:
    """The fields of `LineageSerializer`."""
    found = asked.lineage
    return {
        "may_still_train": asked.may_still_train,
        "datasets": [{"fingerprint": dataset.pk, "photos": count} for dataset, count in found.datasets],
        "runs": [
            {
                "id": use.run.pk,
                "dataset": use.run.dataset_id,
                "roles": use.roles,
                "release": use.run.release_id,
                "mlflow_run_id": use.run.mlflow_run_id,
            }
            for use in found.uses
        ],
        "learned": [row.pk for row in found.learned],
        "descendants": [row.pk for row in found.descendants],
        "measured": [row.pk for row in found.measured],
    }
