"""Answers of a shadow challenger."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from predictions.answering.models import Prediction
from predictions.releases.models import LiveTest


class ShadowAnswer(models.Model):
    """A shadow challenger's answer to a photo that the champion answered. Uploaders and readers never see it."""

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
        return f"shadow answer to {str(self.prediction_id)[:8]}"
