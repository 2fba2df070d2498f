"""Serializers that every room of the API uses."""

from typing import Any

from rest_framework import serializers


class ProblemSerializer(serializers.Serializer[Any]):
    """A refusal (RFC 9457). `code` is for programs and never changes; `detail` is a sentence for people."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    field = serializers.CharField(required=False)
    errors = serializers.DictField(  # type: ignore[assignment]  # a field of the body, not the serializer's own
        child=serializers.ListField(child=serializers.CharField()), required=False
    )
    existing = serializers.UUIDField(required=False, help_text="The earlier prediction of the same photo or key.")
