"""Releases, promotions and live tests."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, FilteredRelation, Q
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet
from cataract.ml.cascade.risk import promises


class ReleaseQuerySet(StatusQuerySet["Release"]):
    MOVES: ClassVar = {
        "champion": frozenset({"challenger", "retired"}),
        "retired": frozenset({"champion"}),
        "rejected": frozenset({"challenger"}),
    }

    def champions(self) -> Self:
        """The release that serves, or none: a constraint allows one champion."""
        return self.in_status(Release.Status.CHAMPION)

    def that_answer(self) -> Self:
        """The champion, and the challenger of a running A/B test with its `test` and `share`."""
        running = Q(live_tests__kind=LiveTest.Kind.AB, live_tests__ended_at__isnull=True)
        releases = self.annotate(running=FilteredRelation("live_tests", condition=running))
        answering = releases.filter(Q(status=Release.Status.CHAMPION) | Q(running__isnull=False))
        return answering.annotate(test=F("running__pk"), share=F("running__share"))


class Release(models.Model):
    """The deployable unit: a verified folder below the release folder, named by its id.

    CHALLENGER -> CHAMPION -> RETIRED -> CHAMPION (rollback); CHALLENGER -> REJECTED, by a person or by the training
    run that made it, with the reason; no move leads from there. BASE stays BASE: an encoder to
    train from, whose models know nothing; no move leads from it to CHAMPION.
    """

    class Status(models.TextChoices):
        CHALLENGER = "challenger"
        CHAMPION = "champion"
        RETIRED = "retired"
        REJECTED = "rejected"
        BASE = "base"

    id = models.CharField(primary_key=True, max_length=64)
    status = models.CharField(max_length=10, choices=Status, default=Status.CHALLENGER)
    manifest_sha256 = models.CharField(max_length=64)
    encoder = models.CharField(max_length=64, help_text="Hash of the encoder.")
    manifest = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    promoted_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)
    rejected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    rejection = models.TextField(blank=True, help_text="Why it was rejected.")

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        permissions: ClassVar = [("promote_release", "Can promote a release and roll back")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["status"], condition=Q(status="champion"), name="one_champion"),
            models.CheckConstraint(
                condition=Q(status__in=["challenger", "champion", "retired", "rejected", "base"]),
                name="release_status",
            ),
            models.CheckConstraint(
                condition=~Q(status="champion") | Q(promoted_at__isnull=False), name="champion_was_promoted"
            ),
            models.CheckConstraint(
                condition=~Q(status="rejected") | ~Q(rejection=""), name="rejected_release_says_why"
            ),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def promises(self) -> list[str]:
        """What its automatic answers promise, in sentences."""
        policy = self.manifest.get("policy")
        return promises(policy) if policy else []


class Promotion(models.Model):
    """One change of champion, with who and why. Append-only."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="promotions")
    previous = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    promoted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField()
    is_rollback = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.release_id} on {self.created_at:%Y-%m-%d %H:%M}"


class LiveTestQuerySet(models.QuerySet["LiveTest"]):
    def running(self, *kinds: str) -> Self:
        """Tests that have not ended, of these kinds (of any, if none is named)."""
        found = self.filter(ended_at__isnull=True)
        return found.filter(kind__in=kinds) if kinds else found

    def end(self, *, reason: str, user: Any = None) -> int:
        """End the running tests; return how many there were."""
        return self.running().update(ended_at=timezone.now(), ended_by=user, end_reason=reason)


class LiveTest(models.Model):
    """A challenger tried on live photos beside the champion. One test of each kind runs at a time.

    It ends when an admin stops it, when it has its photos (shadow), or when another release becomes the champion.
    """

    class Kind(models.TextChoices):
        SHADOW = "shadow", "in shadow: it scores live photos, and its answers are shown to no one"
        AB = "ab", "A/B: it answers a share of the patients"

    MAX_SHARE: ClassVar = 0.5

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=6, choices=Kind)
    challenger = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="live_tests")
    champion = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="+")
    share = models.FloatField(
        null=True, blank=True, help_text="A/B: the share of patients that the challenger answers."
    )
    photos = models.PositiveIntegerField(help_text="The report is complete after this many photos.")
    reason = models.TextField()
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    end_reason = models.TextField(blank=True)

    objects = LiveTestQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-started_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind"], condition=Q(ended_at__isnull=True), name="one_live_test_per_kind"),
            models.CheckConstraint(
                condition=Q(kind="shadow", share__isnull=True) | Q(kind="ab", share__gt=0, share__lte=0.5),
                name="live_test_share",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | ~Q(end_reason=""), name="ended_live_test_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.challenger_id} {'in shadow' if self.kind == self.Kind.SHADOW else f'for {self.share:.0%}'}"
