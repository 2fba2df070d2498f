"""Serializers of drift."""

from typing import Any

from rest_framework import serializers

from predictions.drift.models import DriftSegment


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


class ChecksSerializer(serializers.Serializer[Any]):
    """Sure answers of the fast model, drawn at random, that the accurate model checked; the serving release only."""

    photos = serializers.IntegerField(help_text="How many were checked.")
    disagreed = serializers.IntegerField(help_text="How many the accurate model contradicted.")
    share = serializers.FloatField(allow_null=True, help_text="Null where none was checked.")
    low = serializers.FloatField(help_text="Lower end of the 95 % interval of the share (Wilson).")
    high = serializers.FloatField(help_text="Its upper end.")


class ShiftSerializer(serializers.Serializer[Any]):
    """One measure in the newest look at a segment."""

    n_reference = serializers.IntegerField()
    n_recent = serializers.IntegerField()
    reference = serializers.FloatField(allow_null=True, help_text="Mean; null for embeddings.")
    recent = serializers.FloatField(allow_null=True, help_text="Mean; null for embeddings.")
    difference = serializers.FloatField(
        allow_null=True, help_text="In standard deviations of the reference; of embeddings the AUC of a classifier."
    )
    low = serializers.FloatField(allow_null=True, help_text="Lower end of its 95 % interval.")
    high = serializers.FloatField(allow_null=True, help_text="Its upper end.")
    p = serializers.FloatField(help_text="p-value of no drift.")
    alpha = serializers.FloatField(help_text="Largest p that this look counted as drift of this measure.")
    has_drifted = serializers.BooleanField()


class EstimatedSerializer(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True, help_text="Lower end of its 95 % interval.")
    high = serializers.FloatField(allow_null=True, help_text="Its upper end.")
    n = serializers.IntegerField()


class SegmentSerializer(serializers.Serializer[Any]):
    """What is watched for drift while one release serves."""

    kind = serializers.ChoiceField(choices=DriftSegment.Kind.choices)
    site = serializers.CharField(allow_null=True)
    device = serializers.CharField(allow_null=True)
    release = serializers.CharField()
    state = serializers.ChoiceField(choices=DriftSegment.State.choices)
    since = serializers.DateTimeField(allow_null=True, help_text="When the drift that stands began, by estimate.")
    confirmed_at = serializers.DateTimeField(allow_null=True)
    looked_at = serializers.DateTimeField(allow_null=True, help_text="The newest photo of the newest look.")
    n_reference = serializers.IntegerField(help_text="Photos that recent ones are compared with.")
    n_recent = serializers.IntegerField()
    measures = serializers.DictField(child=ShiftSerializer())
    estimated = serializers.DictField(
        child=EstimatedSerializer(),
        help_text="Performance of the recent answers, estimated without labels.",
    )


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
    accurate_checks = serializers.DictField(child=ChecksSerializer(), help_text="In both periods.")
    segments = SegmentSerializer(many=True)
