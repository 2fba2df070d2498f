"""Serializers of releases."""

from rest_framework import serializers

from predictions.releases.models import Release


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    """One release: what it is and whether it serves."""

    class Meta:
        model = Release
        fields = ("id", "status", "encoder", "created_at", "promoted_at", "metrics")
        read_only_fields = fields
