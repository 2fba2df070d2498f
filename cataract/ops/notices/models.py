"""Notices: what an admin should look at."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone


class NoticeQuerySet(models.QuerySet["Notice"]):
    def open(self) -> Self:
        """Notices whose cause still stands."""
        return self.filter(resolved_at__isnull=True)

    def unseen_by(self, user: User) -> Self:
        """Open notices that this admin has not marked as seen."""
        return self.open().exclude(seen_by=user)


class Notice(models.Model):
    """Something is wrong in the system. Opened and resolved by `worker.sweep`; at most one is open for a key."""

    class Kind(models.TextChoices):
        RUN_FAILED = "run_failed", "A training run has failed"
        DRIFT = "drift", "Recent photos or answers have drifted"
        MODELS_DISAGREE = "models_disagree", "The accurate model contradicts sure answers of the fast one"
        QUEUE_LATE = "queue_late", "Cases have waited longer than agreed"
        ACCEPTANCE_LOST = "acceptance_lost", "Automatic answers were withdrawn"
        AI_STOPPED = "ai_stopped", "The AI is switched off: people only"
        AUDIT_BROKEN = "audit_broken", "The audit log or the record was changed"
        KEY_ENDS = "key_ends", "An API key ends soon"
        PREDICTIONS_FAILED = "predictions_failed", "Photos could not be analysed"
        PREDICTIONS_LATE = "predictions_late", "Photos wait too long for an answer of the AI"
        NO_CHAMPION = "no_champion", "No release is in service"
        RELEASE_DEGRADED = "release_degraded", "The release in service cannot be loaded"
        BACKUP = "backup", "The backup is missing or old"
        DISK = "disk", "Little disk space is left"

    class State(models.TextChoices):
        NEW = "new", "New"
        SEEN = "seen", "Seen"
        RESOLVED = "resolved", "Resolved"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=18, choices=Kind)
    key = models.CharField(max_length=64, help_text="Names the cause among those of its kind.")
    detail = models.CharField(max_length=300, blank=True, help_text="What is wrong now, without data of patients.")
    opened_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who takes care of it.",
    )
    seen_by = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="+")

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-opened_at", "pk"]
        default_permissions: ClassVar = ("view",)
        permissions: ClassVar = [("view_overview", "Can view the overview and the monthly report")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "key"], condition=Q(resolved_at__isnull=True), name="one_open_notice_per_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.detail}"

    @property
    def state(self) -> "Notice.State":
        """How far it is: new until any admin has seen it or taken care of it. Costs a query unless prefetched."""
        if self.resolved_at is not None:
            return self.State.RESOLVED
        return self.State.SEEN if self.owner_id is not None or self.seen_by.all() else self.State.NEW
