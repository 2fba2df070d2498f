"""One search for labels that are probably wrong."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet


class LabelCheckQuerySet(StatusQuerySet["LabelCheck"]):
    MOVES: ClassVar = {
        "running": frozenset({"queued"}),
        "done": frozenset({"running"}),
        "failed": frozenset({"queued", "running"}),
    }


class LabelCheck(models.Model):
    """One search for labels that are probably wrong. QUEUED -> RUNNING -> DONE or FAILED."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    ACTIVE: ClassVar = (Status.QUEUED, Status.RUNNING)

    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    photos = models.PositiveIntegerField(default=0, help_text="Number of labels checked.")
    suspects = models.JSONField(default=list, help_text="[label id, probability of the label], most doubtful first.")
    error = models.TextField(blank=True)

    objects = LabelCheckQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed"]), name="check_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(finished_at__isnull=False), name="done_check_has_time"
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_check_has_error"),
            models.UniqueConstraint(
                models.Value(1), condition=Q(status__in=["queued", "running"]), name="one_active_check"
            ),
        ]

    def __str__(self) -> str:
        return f"label check of {self.created_at:%Y-%m-%d %H:%M}"
