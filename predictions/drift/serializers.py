"""Serializers of drift."""

from typing import Any

from rest_framework import serializers


class PeriodSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    photos = serializers.IntegerField(help_text="At most 5,000, the newest.")


class DriftMeasureSerializer(serializers.Serializer[Any]):
    n_reference = serializers.IntegerField()
    n_recent = serializers.IntegerField()
    psi = serializers.FloatField(allow_null=True, help_text="Population stability index, ten bins.")
    expected_psi = serializers.FloatField(allow_null=True, help_text="What chance alone gives for these sizes.")
    ks = serializers.FloatField(allow_null=True, help_text="Kolmogorov-Smirnov statistic.")
    p = serializers.FloatField(allow_null=True, help_text="Its p-value.")
    verdict = serializers.ChoiceField(choices=["not_enough_data", "stable", "moderate", "large"])


class DriftSerializer(serializers.Serializer[Any]):
    """Recent photos and answers compared with earlier ones."""

    recent = PeriodSerializer()
    reference = PeriodSerializer()
    release = serializers.CharField(allow_null=True, help_text="Scores are compared for this release only.")
    minimum = serializers.IntegerField(help_text="Below this size of either sample there is no verdict.")
    measures = serializers.DictField(child=DriftMeasureSerializer())
    shares = serializers.DictField(
        child=serializers.DictField(child=serializers.FloatField(allow_null=True)), help_text="Share of each decision."
    )
    reasons = serializers.DictField(
        child=serializers.DictField(child=serializers.FloatField(allow_null=True)),
        help_text="Share of the photos that clinicians read for each reason, recent and reference; several may apply.",
    )
