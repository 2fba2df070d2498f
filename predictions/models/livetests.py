"""Live tests: a challenger beside the champion on the photos that come in, in shadow or for a share of the patients."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.models.answers import Prediction
from predictions.models.releases import Release


class LiveTestQuerySet(models.QuerySet[Any]):
    def running(self, *kinds: str) -> Self:
        """Tests that have not ended, of these kinds (of any, if none is named)."""
        found = self.filter(ended_at__isnull=True)
        return found.filter(kind__in=kinds) if kinds else found

    def end(self, *, reason: str, user: Any = None) -> int:
        """End those that run; returns how many did."""
        return self.running().update(ended_at=timezone.now(), ended_by=user, end_reason=reason)


class LiveTest(models.Model):
    """A challenger tried on live photos, beside the champion of that day. One of each kind runs at a time.

    It ends when somebody stops it, when it has its photos (shadow), or when another release becomes the champion.
    """

    class Kind(models.TextChoices):
        SHADOW = "shadow", "in shadow: it scores live photos, and nobody is shown what it says"
        AB = "ab", "A/B: it answers a share of the patients"

    MAX_SHARE: ClassVar = 0.5

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=6, choices=Kind)
    challenger = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="live_tests")
    champion = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="+")
    share = models.FloatField(
        null=True, blank=True, help_text="A/B: the share of patients whom the challenger answers."
    )
    photos = models.PositiveIntegerField(help_text="The report is complete after so many photos.")
    reason = models.TextField()
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    end_reason = models.TextField(blank=True)

    objects = LiveTestQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-started_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind"], condition=Q(ended_at__isnull=True), name="one_live_test_per_kind"),
            models.CheckConstraint(
                condition=Q(kind="shadow", share__isnull=True) | Q(kind="ab", share__gt=0, share__lte=0.5),
                name="live_test_share",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | ~Q(end_reason=""), name="ended_live_test_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.challenger_id} {'in shadow' if self.kind == self.Kind.SHADOW else f'for {self.share:.0%}'}"


class ShadowAnswer(models.Model):
    """What a challenger in shadow said of a photo that the champion answered. Shown to nobody who uploads or reads."""

    test = models.ForeignKey(LiveTest, on_delete=models.CASCADE, related_name="answers")
    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="shadow_answers")
    decision = models.CharField(max_length=10, choices=Prediction.Decision, blank=True)
    probability = models.FloatField(null=True, blank=True)
    needs_review = models.BooleanField(default=False)
    reasons = models.JSONField(default=list, blank=True)
    route = models.CharField(max_length=16, blank=True)
    timings = models.JSONField(default=dict, blank=True, help_text="Milliseconds per stage.")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["test", "prediction"], name="one_shadow_answer_per_prediction"),
            models.CheckConstraint(
                condition=Q(decision__in=["cataract", "normal", "ungradable"], error="")
                | Q(decision="") & ~Q(error=""),
                name="shadow_answer_or_error",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prediction_id}: {self.decision or self.error}"
