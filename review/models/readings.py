"""The reading: one person's answer to one case; and how that person likes to read."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from review.models.answers import Answer, Grade, OtherPathology, UngradableBecause
from review.models.cases import ReviewCase


class Reading(models.Model):
    """One person's answer to one ReviewCase: the blind answer, when the AI was shown, the final answer.

    Append-only: a stored answer is never edited; undoing appends `retracted_at`.
    """

    class Role(models.TextChoices):
        FIRST = "first", "first reader"
        SECOND = "second", "second reader"
        ADJUDICATOR = "adjudicator", "adjudicator"
        EXTRA = "extra", "second opinion beside the others"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, related_name="readings")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=11, choices=Role)
    blind_answer = models.CharField(max_length=10, choices=Answer)
    blind_at = models.DateTimeField(default=timezone.now)
    blind_seconds = models.FloatField(
        null=True, blank=True, help_text="From the photo being shown to the blind answer."
    )
    ai_shown_at = models.DateTimeField(null=True, blank=True)
    ai_shown_first = models.BooleanField(default=False, help_text="Shown on purpose before the answer; never trains.")
    final_answer = models.CharField(max_length=10, choices=Answer, blank=True)
    final_at = models.DateTimeField(null=True, blank=True)
    final_seconds = models.FloatField(null=True, blank=True, help_text="From the AI being shown to the final answer.")
    grade = models.CharField(max_length=16, blank=True, choices=Grade, help_text="For cataract.")
    detail = models.CharField(
        max_length=64,
        blank=True,
        choices=[*UngradableBecause.choices, *OtherPathology.choices],
        help_text="Why it cannot be judged, or which other pathology.",
    )
    unsure = models.BooleanField(default=False)
    note = models.TextField(blank=True)
    viewer = models.JSONField(default=dict, blank=True, help_text="Zoom and filters in use at the answer.")
    retracted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["blind_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["case", "role"],
                condition=Q(retracted_at__isnull=True) & ~Q(role="extra"),
                name="one_standing_reading_per_role",
            ),
            models.UniqueConstraint(
                fields=["case", "reader"],
                condition=Q(retracted_at__isnull=True),
                name="one_standing_reading_per_reader",
            ),
            models.CheckConstraint(condition=Q(blind_answer__in=Answer.values), name="reading_blind_answer"),
            models.CheckConstraint(
                condition=Q(final_answer="", final_at__isnull=True)
                | Q(final_answer__in=Answer.values, final_at__isnull=False),
                name="final_answer_has_time",
            ),
            models.CheckConstraint(
                condition=Q(ai_shown_first=True) | Q(ai_shown_at__isnull=True) | Q(ai_shown_at__gte=F("blind_at")),
                name="ai_shown_after_blind_answer",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}: {self.final_answer or self.blind_answer}"


class ReviewerSettings(models.Model):
    """How one person likes to read: the keys that differ from the usual ones."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="reviewer_settings"
    )
    keys = models.JSONField(default=dict, blank=True, help_text="Action to key, for the actions that were changed.")

    def __str__(self) -> str:
        return f"review settings of {self.user_id}"
