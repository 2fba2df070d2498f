"""The frozen dataset that a training run learns from."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.photos.models import EyeImage, Split
from review.labels.models import Label


class Dataset(models.Model):
    """A frozen list of (image, label, split, weight). The same labels give the same fingerprint."""

    fingerprint = models.CharField(primary_key=True, max_length=64, help_text="sha256 over its rows.")
    counts = models.JSONField(default=dict, help_text="Rows by split and class.")
    always_read = models.JSONField(
        default=list, blank=True, help_text="The splits whose rows are all of patients that are always read."
    )
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"dataset {self.fingerprint[:12]}"

    @property
    def test_source(self) -> str:
        """In words: which labelled photos of the test split are its rows."""
        return self._source_of(Split.TEST)

    @property
    def calibration_source(self) -> str:
        """In words: which labelled photos of the calibration split are its rows."""
        return self._source_of(Split.CALIBRATION)

    def _source_of(self, split: str) -> str:
        if split in self.always_read:
            return "all of patients that are always read, unweighted"
        return "all labelled photos of the split, mostly doubtful ones"


class DatasetItem(models.Model):
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="items")
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=10)
    split = models.CharField(max_length=11, choices=Split)
    cluster = models.PositiveBigIntegerField(help_text="The cluster when the dataset was frozen.")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "image"], name="one_item_per_image"),
            models.CheckConstraint(condition=~Q(split="excluded"), name="excluded_images_are_in_no_dataset"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} {self.answer} ({self.split})"
