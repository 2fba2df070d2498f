"""What the API says of itself: health, load, drift, releases, and how it says no."""

from typing import Any

from rest_framework import serializers

from predictions.models import Release


class LiveSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()


class ReadySerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ready", "degraded", "unavailable"])
    checks = serializers.DictField(child=serializers.CharField())


class SystemSerializer(serializers.Serializer[Any]):
    release = serializers.CharField(allow_null=True)
    versions = serializers.DictField(child=serializers.CharField())
    queued = serializers.IntegerField(help_text="Predictions that wait for a worker.")
    oldest_queued_seconds = serializers.FloatField(allow_null=True)
    answered_last_hour = serializers.IntegerField()
    answers_per_second = serializers.FloatField(help_text="Mean of the last five minutes.")
    failed = serializers.IntegerField()
    milliseconds = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="p50, p95, p99 of the last answers, all stages."
    )
    milliseconds_of = serializers.IntegerField(help_text="How many answers these percentiles are of, at most 500.")
    batches_running = serializers.IntegerField()
    webhooks_waiting = serializers.IntegerField()
    memory_bytes = serializers.DictField(
        child=serializers.IntegerField(), help_text="process: of the web process that answered; available: of the host."
    )
    disk_free_bytes = serializers.IntegerField()
    queues = serializers.DictField(
        child=serializers.IntegerField(), allow_null=True, help_text="Messages by queue; null: the broker is silent."
    )
    workers = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text="Those that answer.")


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
    """Recent photos and answers against earlier ones."""

    recent = PeriodSerializer()
    reference = PeriodSerializer()
    release = serializers.CharField(allow_null=True, help_text="Scores are compared for this release only.")
    minimum = serializers.IntegerField(help_text="Below this size of either sample nothing is said.")
    measures = serializers.DictField(child=DriftMeasureSerializer())
    shares = serializers.DictField(
        child=serializers.DictField(child=serializers.FloatField(allow_null=True)), help_text="Of each decision."
    )


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    """One release: what it is and whether it serves."""

    class Meta:
        model = Release
        fields = ("id", "status", "encoder", "created_at", "promoted_at", "metrics")
        read_only_fields = fields


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
