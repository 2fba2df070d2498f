"""Pauses: a reader who failed too many control cases reads no new cases until an admin lifts the pause."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class ReadingPause(models.Model):
    """The rule paused this reader: how many of how many control cases were answered wrongly, and who lifted it."""

    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reading_pauses")
    failed = models.PositiveSmallIntegerField()
    of = models.PositiveSmallIntegerField()
    at = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True, help_text="Why it was lifted.")

    class Meta:
        ordering: ClassVar = ["-at"]
        default_permissions: ClassVar = ()
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["reader"], condition=Q(lifted_at__isnull=True), name="one_standing_pause_per_reader"
            ),
            models.CheckConstraint(condition=Q(failed__lte=models.F("of")), name="pause_counts"),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, reason="")
                | Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(reason=""),
                name="lifted_pause_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"pause of {self.reader_id}, {self.at:%Y-%m-%d}"
