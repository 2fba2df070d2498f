"""Batches of photos and their items, one per file."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet, StatusQuerySet
from predictions.answering.models import Prediction
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage


class BatchQuerySet(LeasedQuerySet["Batch"]):
    OPEN = "running"
    MOVES: ClassVar = {
        "done": frozenset({"running"}),
        "cancelled": frozenset({"running"}),
        "running": frozenset({"cancelled", "done"}),
    }

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The batches that `user` sent; every batch for those who may see every photo. Newest first."""
        if not isinstance(user, User):
            return self.none()
        if user.has_perm("predictions.view_every_eyeimage"):
            return self
        return self.filter(requested_by_id=user.pk)


class Batch(models.Model):
    """Many photos sent at once, for a worker to process.

    RUNNING -> DONE, and RUNNING again when refused files are sent once more; or RUNNING -> CANCELLED -> RUNNING when it
    is resumed.
    """

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=9, choices=Status, default=Status.RUNNING)
    name = models.CharField(max_length=100, blank=True, help_text="A label only: the name of the archive.")
    archive = models.BooleanField(default=False, help_text="One ZIP was sent instead of single files.")
    mode = models.CharField(max_length=8, choices=Prediction.Mode, default=Prediction.Mode.CASCADE)
    source = models.CharField(max_length=8, choices=EyeImage.Source)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    total = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    done_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(
        default=0, help_text="Also the fencing token of the attempt that holds the lease."
    )
    lease_until = models.DateTimeField(null=True, blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "batches"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=["running", "done", "cancelled"]), name="batch_status"),
            models.CheckConstraint(condition=~Q(status="done") | Q(done_at__isnull=False), name="batch_done_at"),
        ]

    def __str__(self) -> str:
        return f"{self.total} files, {self.status}"


class BatchItemQuerySet(StatusQuerySet["BatchItem"]):
    MOVES: ClassVar = {
        "stored": frozenset({"waiting"}),
        "known": frozenset({"waiting"}),
        "refused": frozenset({"waiting"}),
        "waiting": frozenset({"refused"}),
    }


class BatchItem(models.Model):
    """One file of a batch and its outcome.

    WAITING -> STORED, KNOWN (already sent) or REFUSED; REFUSED -> WAITING when the file is sent again.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        STORED = "stored"
        KNOWN = "known"
        REFUSED = "refused"

    FACTS: ClassVar = ("patient_key", "eye", "site", "device", "captured_at", "may_train")  # of PhotoFacts

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=255, help_text="The name as sent; a label only, never a path.")
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    patient_key = models.CharField(max_length=64, blank=True)
    eye = models.CharField(max_length=2, choices=EyeImage.Eye, blank=True)
    site = models.CharField(max_length=64, blank=True)
    device = models.CharField(max_length=64, blank=True)
    captured_at = models.DateTimeField(null=True, blank=True)
    may_train = models.BooleanField(null=True, blank=True, help_text="Empty: the default of the site.")
    prediction = models.ForeignKey(Prediction, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    earlier = models.ForeignKey(
        Prediction,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Of a refused file: the result of the same photo, sent before with another patient or eye.",
    )
    code = models.CharField(max_length=32, blank=True, help_text="Why it was refused, for programs.")
    message = models.TextField(blank=True, help_text="Why it was refused, for people.")

    objects = BatchItemQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["batch", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "position"], name="one_item_per_position"),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "stored", "known", "refused"]), name="batch_item_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="stored") | Q(prediction__isnull=False), name="stored_item_has_a_prediction"
            ),
            models.CheckConstraint(condition=~Q(status="refused") | ~Q(code=""), name="refused_item_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.status}"

    @property
    def facts(self) -> PhotoFacts:
        """The facts that the sender stated about the photo."""
        return PhotoFacts.among({name: getattr(self, name) for name in self.FACTS})
