"""Serializers for live tests and their reports."""

from typing import Any

from rest_framework import serializers

from predictions.releases.models import LiveTest, Release
from training.livetests.services import MAX_PHOTOS, MIN_PHOTOS, USUAL_PHOTOS


class StartLiveTestSerializer(serializers.Serializer[Any]):
    release = serializers.PrimaryKeyRelatedField(queryset=Release.objects.all())
    kind = serializers.ChoiceField(choices=LiveTest.Kind.choices)
    photos = serializers.IntegerField(min_value=MIN_PHOTOS, max_value=MAX_PHOTOS, default=USUAL_PHOTOS)
    share = serializers.FloatField(
        required=False, default=None, help_text=f"A/B: the share of patients, at most {LiveTest.MAX_SHARE:g}."
    )
    reason = serializers.CharField(max_length=1000)
    acknowledge_too_few = serializers.BooleanField(default=False)


class StopSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class LiveTestSerializer(serializers.ModelSerializer[LiveTest]):
    challenger = serializers.CharField(source="challenger_id")
    champion = serializers.CharField(source="champion_id")

    class Meta:
        model = LiveTest
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "challenger",
            "champion",
            "share",
            "photos",
            "reason",
            "started_at",
            "ended_at",
            "end_reason",
        )
        read_only_fields = fields


class LiveTestReportSerializer(LiveTestSerializer):
    report = serializers.SerializerMethodField()

    class Meta(LiveTestSerializer.Meta):
        fields = (*LiveTestSerializer.Meta.fields, "report")
        read_only_fields = fields

    def get_report(self, test: LiveTest) -> dict[str, Any]:
        """Agreement, differing photos, scores, latency, and figures by confirmed labels; see docs/change-control.md."""
        return dict(self.context["report"])
