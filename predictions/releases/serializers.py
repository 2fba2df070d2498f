"""Serializers of releases."""

from typing import Any

from rest_framework import serializers

from predictions.releases.models import Release


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    """One release: what it is and whether it serves."""

    promises = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="What its automatic answers promise, in sentences."
    )

    class Meta:
        model = Release
        fields = (
            "id",
            "status",
            "encoder",
            "created_at",
            "promoted_at",
            "rejected_at",
            "rejection",
            "metrics",
            "promises",
        )
        read_only_fields = fields


class RejectSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000)
