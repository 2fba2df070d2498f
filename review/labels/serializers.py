"""What the label API returns."""

from typing import Any

from rest_framework import serializers

from predictions.answering.answers import Answer
from review.labels.models import Label


class SimilarCaseSerializer(serializers.Serializer[Any]):
    image = serializers.UUIDField()
    photo = serializers.CharField(help_text="Address of its thumbnail.")
    similarity = serializers.FloatField(help_text="Cosine of the two embeddings; 1 means the same direction.")
    answer = serializers.ChoiceField(choices=Answer.choices, help_text="The agreed answer.")
    confirmed_by = serializers.ChoiceField(choices=Label.Provenance.choices)


class SimilarSerializer(serializers.Serializer[Any]):
    encoder = serializers.CharField(allow_blank=True, help_text="Hash of the encoder; empty if no model answered.")
    cases = SimilarCaseSerializer(many=True)
