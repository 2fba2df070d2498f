"""Quality notes: once a week, for one reader only, compared with nobody else."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class QualityNote(models.Model):
    """How one reader read in one week: agreement with final results that somebody else read too, and control cases."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="quality_notes")
    week = models.DateField(help_text="Its Monday.")
    readings = models.PositiveIntegerField(help_text="Cases read in the week that are resolved.")
    agreed = models.PositiveIntegerField(help_text="Of those that somebody else read as well, answered as the result.")
    compared = models.PositiveIntegerField(help_text="Those that somebody else read as well.")
    controls_right = models.PositiveIntegerField()
    controls = models.PositiveIntegerField()
    made_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-week"]
        default_permissions: ClassVar = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["reader", "week"], name="one_quality_note_per_week"),
            models.CheckConstraint(
                condition=Q(agreed__lte=F("compared"), controls_right__lte=F("controls")), name="quality_note_counts"
            ),
        ]

    def __str__(self) -> str:
        return f"week of {self.week} for {self.reader_id}"
