"""The comparison of two releases, the causes of its flips, and the release as the admin shows it."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from training.datasets.models import Dataset


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def standing(self, release: Release) -> "Comparison | None":
        """The newest comparison of `release` with the current champion."""
        compared = self.filter(challenger=release, champion__status=Release.Status.CHAMPION)
        return compared.select_related("champion", "dataset").first()


class Comparison(models.Model):
    """Challenger against champion, paired on the same photos: the report that a person reads before promoting."""

    class Verdict(models.TextChoices):
        PASS = "pass", "passes every gate"
        FAIL = "fail", "fails a gate"
        TOO_FEW = "too_few", "too few photos to judge"

    challenger = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="comparisons")
    champion = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="comparisons")
    verdict = models.CharField(max_length=8, choices=Verdict)
    report = models.JSONField(help_text="Gates, paired differences with intervals, subgroups, flips.")
    created_at = models.DateTimeField(default=timezone.now)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["challenger", "champion", "dataset"], name="one_comparison_per_pair_and_data"
            )
        ]

    def __str__(self) -> str:
        return f"{self.challenger_id} against {self.champion_id}: {self.get_verdict_display()}"

    def right_to_wrong(self) -> list[str]:
        """Ids of the photos that the champion gets right and the challenger wrong."""
        return [flip["image"] for flip in self.report.get("flips", []) if flip["kind"] == "right_to_wrong"]

    def standing_causes(self) -> "dict[str, FlipCause]":
        """The last cause of each photo, by the photo's id."""
        return {str(cause.image_id): cause for cause in self.causes.select_related("noted_by")}

    def flips_without_cause(self) -> list[str]:
        """Ids of the photos that turn from right to wrong and have no cause yet, in the order of the report."""
        stated = self.standing_causes()
        return [image for image in self.right_to_wrong() if image not in stated]


class FlipCause(models.Model):
    """Why a person accepts that the challenger gets a photo wrong that the champion gets right.

    Append-only: the last cause of a photo counts.
    """

    class Cause(models.TextChoices):
        LABEL = "label", "the label is wrong"
        PHOTO = "photo", "the photo is too poor to judge"
        RARE = "rare", "a rare finding, looked at and accepted"
        MODEL = "model", "an error of the challenger, accepted"

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="causes")
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="+")
    cause = models.CharField(max_length=5, choices=Cause)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    noted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["noted_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(cause__in=["label", "photo", "rare", "model"]), name="flip_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.get_cause_display()}"


class ReleaseReview(Release):
    """A Release in the admin, with its comparison and promotion."""

    class Meta:
        proxy = True
        verbose_name = "release"
        verbose_name_plural = "releases"
