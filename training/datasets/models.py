"""Labels become data: the frozen list that a run learns from, and the search for wrong labels in it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet
from predictions.photos.models import EyeImage, Split
from review.labels.models import Label


class Dataset(models.Model):
    """A frozen list of (image, label, split, weight). The same labels give the same fingerprint."""

    fingerprint = models.CharField(primary_key=True, max_length=64, help_text="sha256 over its rows.")
    counts = models.JSONField(default=dict, help_text="Rows by split and class.")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"dataset {self.fingerprint[:12]}"


class DatasetItem(models.Model):
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="items")
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=10)
    split = models.CharField(max_length=11, choices=Split)
    cluster = models.PositiveBigIntegerField(help_text="The cluster at the time of freezing.")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "image"], name="one_item_per_image"),
            models.CheckConstraint(condition=~Q(split="excluded"), name="excluded_images_are_in_no_dataset"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} {self.answer} ({self.split})"


class LabelCheckQuerySet(StatusQuerySet):
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
    photos = models.PositiveIntegerField(default=0, help_text="How many labels were looked at.")
    suspects = models.JSONField(
        default=list, help_text="[label id, probability of what it says], the most doubtful first."
    )
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
