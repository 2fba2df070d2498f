"""Look-backs: the photos that a release decided alone, scored again by another release."""

import uuid
from datetime import datetime, time, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet
from predictions.answering.models import FinalResult, Prediction, PredictionQuerySet
from predictions.releases.models import Release
from review.cases.models import ReviewCase


class LookBackQuerySet(LeasedQuerySet["LookBack"]):
    OPEN = "waiting"
    MOVES: ClassVar = {
        "done": frozenset({"waiting"}),
        "failed": frozenset({"waiting"}),
        "cancelled": frozenset({"waiting"}),
    }


class LookBack(models.Model):
    """Score again, by another release, every photo that a release decided alone in some days.

    WAITING -> DONE, FAILED or CANCELLED. The photos left are those without an answer: a look-back that was stopped,
    killed or run twice goes on there.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="+")
    by_release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="+")
    since = models.DateField()
    until = models.DateField(help_text="The last day, itself included.")
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(
        default=0, help_text="Also the fencing token of the attempt that holds the lease."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0, help_text="Photos to score when it was started.")
    error = models.TextField(blank=True)

    objects = LookBackQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "done", "failed", "cancelled"]), name="look_back_status"
            ),
            models.CheckConstraint(
                condition=Q(status="waiting") | Q(finished_at__isnull=False), name="ended_look_back_has_time"
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_look_back_has_error"),
            models.UniqueConstraint(
                fields=["release", "by_release", "since", "until"],
                condition=Q(status="waiting"),
                name="one_waiting_look_back",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release_id} by {self.by_release_id}, {self.since} to {self.until}"

    def decided_alone(self) -> PredictionQuerySet:
        """The predictions whose final result is the release's own answer, made in these days, oldest first."""
        first = timezone.make_aware(datetime.combine(self.since, time.min))
        end = timezone.make_aware(datetime.combine(self.until + timedelta(days=1), time.min))
        told = FinalResult.objects.standing().filter(basis=FinalResult.Basis.AI, status=FinalResult.Status.FINAL)
        return (
            Prediction.objects.of_kept_photos()
            .in_use()
            .filter(
                release=self.release_id, created_at__gte=first, created_at__lt=end, pk__in=told.values("prediction")
            )
            .order_by("created_at", "pk")
        )


class LookBackAnswer(models.Model):
    """What the other release says of one photo, or why it could not; and the case by which readers look at it."""

    look_back = models.ForeignKey(LookBack, on_delete=models.CASCADE, related_name="answers")
    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="+")
    decision = models.CharField(max_length=10, choices=Prediction.Decision, blank=True)
    probability = models.FloatField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["look_back", "prediction"], name="one_look_back_answer_per_prediction"),
            models.CheckConstraint(
                condition=Q(decision__in=["cataract", "normal", "ungradable"], error="")
                | Q(decision="") & ~Q(error=""),
                name="look_back_answer_or_error",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prediction_id}: {self.decision or self.error}"
