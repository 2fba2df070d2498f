"""What the API says about acceptance."""

from typing import Any

from rest_framework import serializers

from review.acceptance.wording import Side


class SideSerializer(serializers.Serializer[Side]):
    """One side of a release at a site, or at a device where the site tells devices apart."""

    site = serializers.CharField(source="progress.site.name")
    device = serializers.CharField(
        source="progress.device.name", allow_null=True, default=None, help_text="null: all photos of the site."
    )
    by_device = serializers.BooleanField(
        source="progress.by_device", help_text="Whether the site tells devices apart; `device` null: none stated."
    )
    side = serializers.ChoiceField(source="progress.side", choices=["cataract", "normal"])
    release = serializers.CharField(source="progress.release_id")
    accepted = serializers.BooleanField(help_text="Whether sure answers of this side need no person.")
    state = serializers.ChoiceField(
        choices=["accepted", "by hand", "held", "counting"], help_text="held: withdrawn by hand, until decided again."
    )
    photos = serializers.IntegerField(source="progress.photos", help_text="Photos that were read and count.")
    waiting = serializers.IntegerField(source="progress.waiting", help_text="Photos of the site that wait for readers.")
    n = serializers.IntegerField(
        source="progress.n", help_text="normal: eyes with a cataract; cataract: automatic “cataract” answers."
    )
    errors = serializers.IntegerField(source="progress.errors")  # type: ignore[assignment]
    bound = serializers.FloatField(source="progress.bound", help_text="The share of errors is at most this.")
    limit = serializers.FloatField(source="progress.limit", help_text="The largest share that is accepted.")
    confidence = serializers.FloatField(source="progress.confidence")
    missing = serializers.IntegerField(
        source="progress.missing", allow_null=True, help_text="More of `n` without an error; null: out of reach."
    )
    found = serializers.CharField(source="progress.found", help_text="What the labels show, in words.")
    next = serializers.CharField(help_text="What is missing or stands, in words.")
    counted_at = serializers.DateTimeField(source="progress.counted_at")


class AcceptanceSerializer(serializers.Serializer[Any]):
    """Who decides at the sites of the caller."""

    auto_answers = serializers.ChoiceField(
        choices=["accepted", "release"],
        help_text="accepted: people decide where `accepted` is false. release: the release's own band decides.",
    )
    sides = SideSerializer(many=True)
