"""The comparison on which a person decides, what that person ticked, and the second person."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from predictions.models import EyeImage, LiveTest, Promotion, Release
from training.models.datasets import Dataset


class Comparison(models.Model):
    """Challenger against champion on the same frozen test photos, paired: what a person reads before promoting."""

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

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["challenger", "champion", "dataset"], name="one_comparison_per_pair_and_data"
            )
        ]

    def __str__(self) -> str:
        return f"{self.challenger_id} against {self.champion_id}: {self.get_verdict_display()}"


class FlipCause(models.Model):
    """Why a person accepts that the challenger gets a photo wrong which the champion gets right. Append-only."""

    class Cause(models.TextChoices):
        LABEL = "label", "the label is wrong"
        PHOTO = "photo", "the photo is too poor to judge"
        RARE = "rare", "a rare finding, looked at and accepted"
        MODEL = "model", "an error of the challenger, accepted"

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="causes")
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="+")
    cause = models.CharField(max_length=5, choices=Cause)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    noted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["comparison", "image"], name="one_cause_per_flip"),
            models.CheckConstraint(condition=Q(cause__in=["label", "photo", "rare", "model"]), name="flip_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.get_cause_display()}"


class PromotionRequest(models.Model):
    """One admin's wish to promote a release, until another confirms or declines it (setting PROMOTION_NEEDS_TWO)."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="promotion_requests")
    reason = models.TextField()
    acknowledge_too_few = models.BooleanField(default=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    promotion = models.OneToOneField(
        Promotion, on_delete=models.PROTECT, null=True, blank=True, related_name="request", help_text="Once confirmed."
    )

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["release"], condition=Q(decided_at__isnull=True), name="one_open_request_per_release"
            ),
            models.CheckConstraint(
                condition=Q(promotion__isnull=True) | ~Q(requested_by=F("decided_by")),
                name="confirmed_by_another_person",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True, decided_at__isnull=True)
                | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="decision_has_person_and_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release_id}, asked for by {self.requested_by_id}"


class ReleaseReview(Release):
    """A Release as the admin sees it when deciding on its promotion."""

    class Meta:
        proxy = True
        verbose_name = "release to compare and promote"
        verbose_name_plural = "releases: compare, promote, roll back"


class LiveTestReview(LiveTest):
    """A LiveTest as the admin sees it, beside the releases."""

    class Meta:
        proxy = True
        verbose_name = "live test"
        verbose_name_plural = "live tests: shadow and A/B"
