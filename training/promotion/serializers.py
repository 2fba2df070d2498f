"""Serializers for promotions and promotion requests."""

from typing import Any

from rest_framework import serializers

from predictions.releases.models import Promotion
from training.comparison.models import FlipCause
from training.promotion.models import PromotionRequest


class PromoteSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000)
    acknowledge_too_few = serializers.BooleanField(default=False)
    causes = serializers.DictField(
        child=serializers.ChoiceField(choices=FlipCause.Cause.choices),
        default=dict,
        help_text="For each test photo that turns from right to wrong: image id -> cause.",
    )


class PromotionRequestSerializer(serializers.ModelSerializer[PromotionRequest]):
    release = serializers.CharField(source="release_id")
    requested_by = serializers.CharField(source="requested_by.username")

    class Meta:
        model = PromotionRequest
        fields = ("release", "reason", "requested_by", "requested_at")
        read_only_fields = fields


class RollbackSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=1000)


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    release = serializers.CharField(source="release_id")
    previous = serializers.CharField(source="previous_id", allow_null=True)

    class Meta:
        model = Promotion
        fields = ("release", "previous", "reason", "is_rollback", "created_at")
        read_only_fields = fields
