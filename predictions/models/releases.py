"""Releases: which can serve, which one does, and who decided it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.status import StatusQuerySet


class ReleaseQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "champion": frozenset({"challenger", "retired"}),
        "retired": frozenset({"champion"}),
        "rejected": frozenset({"challenger"}),
    }


class Release(models.Model):
    """The deployable unit: a verified folder below the release folder, named by its id.

    CHALLENGER -> CHAMPION -> RETIRED -> CHAMPION (rollback); CHALLENGER -> REJECTED. BASE stays BASE: an encoder to
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
        ]

    def __str__(self) -> str:
        return self.id


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
