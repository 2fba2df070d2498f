"""Serializers of deletions and legal holds."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from predictions.retention.models import Deletion, LegalHold


class DeleteSerializer(serializers.Serializer[object]):
    """Photos of one site, or one patient with all photos."""

    images = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, help_text="Ids of photos: `image.id` of results."
    )
    patient = serializers.UUIDField(required=False, default=None, allow_null=True, help_text="Id of a patient.")
    reason = serializers.CharField(max_length=500, help_text="Kept on record. No patient names.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if bool(attrs["images"]) == bool(attrs["patient"]):
            raise serializers.ValidationError({"images": ["State either photos or one patient."]})
        return attrs


class DeletionSerializer(serializers.ModelSerializer[Deletion]):
    """A deletion: requested, trashed, purging, purged, restored or cancelled."""

    site = serializers.CharField(source="site.name", read_only=True)
    images = serializers.SerializerMethodField(help_text="The ids of its photos.")

    class Meta:
        model = Deletion
        fields = (
            "id",
            "kind",
            "status",
            "site",
            "images",
            "reason",
            "requested_at",
            "trashed_at",
            "purge_after",
            "ended_at",
        )
        read_only_fields = fields

    @extend_schema_field({"type": "array", "items": {"type": "string", "format": "uuid"}})
    def get_images(self, row: Deletion) -> list[str]:
        return [str(image.pk) for image in row.images.all()]


class HoldSerializer(serializers.Serializer[object]):
    patient = serializers.UUIDField(help_text="Id of a patient.")
    reason = serializers.CharField(max_length=500)


class LiftSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=500)


class LegalHoldSerializer(serializers.ModelSerializer[LegalHold]):
    """A legal hold; it stands until `lifted_at`."""

    class Meta:
        model = LegalHold
        fields = ("id", "patient", "reason", "placed_at", "lifted_at", "lift_reason")
        read_only_fields = fields
