"""A promotion that waits for a second person."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from predictions.releases.models import Promotion, Release


class PromotionRequest(models.Model):
    """One admin's request to promote a release; another confirms or declines it (setting PROMOTION_NEEDS_TWO)."""

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
        Promotion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="request",
        help_text="Set once confirmed.",
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
        return f"{self.release_id}, requested by {self.requested_by_id}"
