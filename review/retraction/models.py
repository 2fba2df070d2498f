"""Retractions: all labels of one reader stop training."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from review.cases.models import Reading
from review.labels.models import Label


class Retraction(models.Model):
    """One reader's readings were retracted, with the labels that rested on them. Append-only."""

    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="retractions")
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    readings = models.ManyToManyField(Reading, blank=True, related_name="retractions")
    labels = models.ManyToManyField(Label, blank=True, related_name="retractions")

    class Meta:
        ordering: ClassVar = ["-at"]
        permissions: ClassVar = [("retract_labels", "Can retract the labels of a reader")]
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(reason=""), name="retraction_says_why")]

    def __str__(self) -> str:
        return f"labels of {self.reader}, {self.at:%Y-%m-%d}"
