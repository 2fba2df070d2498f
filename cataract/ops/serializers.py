"""Serializers of health and system state."""

from typing import Any

from rest_framework import serializers

from cataract.ops.system import LAST


class LiveSerializer(serializers.Serializer[Any]):
    status = serializers.CharField()


class ReadySerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ready", "degraded", "unavailable"])
    checks = serializers.DictField(child=serializers.CharField())


class SystemSerializer(serializers.Serializer[Any]):
    release = serializers.CharField(allow_null=True)
    versions = serializers.DictField(child=serializers.CharField())
    queued = serializers.IntegerField(help_text="Predictions waiting for a worker.")
    oldest_queued_seconds = serializers.FloatField(allow_null=True)
    answered_last_hour = serializers.IntegerField()
    answers_per_second = serializers.FloatField(help_text="Mean of the last five minutes.")
    failed = serializers.IntegerField()
    milliseconds = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="p50, p95, p99 of the last answers, all stages."
    )
    milliseconds_of = serializers.IntegerField(help_text=f"Number of answers behind these percentiles, at most {LAST}.")
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
