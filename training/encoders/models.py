"""Requests for a base release with another encoder, which a worker makes."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet
from predictions.releases.models import Release


class EncoderChangeQuerySet(StatusQuerySet["EncoderChange"]):
    MOVES: ClassVar = {
        "running": frozenset({"queued"}),
        "done": frozenset({"running"}),
        "failed": frozenset({"queued", "running"}),
    }


class EncoderChange(models.Model):
    """One request for a base release with a published image tower. QUEUED -> RUNNING -> DONE or FAILED.

    The release does not serve; a training run of both models that starts from it makes a challenger.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    ACTIVE: ClassVar = (Status.QUEUED, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    architecture = models.CharField(max_length=100)
    weights = models.CharField(max_length=100, help_text="The tag under which the weights are published.")
    image_size = models.PositiveIntegerField(default=0, help_text="Side of the input in pixels; 0 for the published.")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    heard_at = models.DateTimeField(default=timezone.now, help_text="When its worker last said something.")
    finished_at = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(max_length=200, blank=True)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    error = models.TextField(blank=True)

    objects = EncoderChangeQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        default_permissions: ClassVar = ("add", "view")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed"]), name="encoder_change_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(release__isnull=False), name="done_encoder_change_has_release"
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_encoder_change_says_why"),
            models.UniqueConstraint(
                models.Value(1), condition=Q(status__in=["queued", "running"]), name="one_active_encoder_change"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.architecture} with {self.weights}"
