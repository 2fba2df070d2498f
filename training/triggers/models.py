"""The policy of automatic training runs, and the record of each time it asked for one."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from training.runs.models import TrainingRun


class TrainingPolicy(models.Model):
    """When training runs start automatically: one row, off until an admin turns it on. It never promotes a release."""

    is_on = models.BooleanField("on", default=False)
    kind = models.CharField("what to train", max_length=8, choices=TrainingRun.Kind, default=TrainingRun.Kind.BOTH)
    new_labels = models.PositiveIntegerField(
        null=True, blank=True, help_text="Start when this many labels are new since the last dataset."
    )
    on_drift = models.BooleanField(
        "on confirmed drift",
        default=False,
        help_text="Start once for each confirmed drift, when 30 of the photos that have drifted have new labels.",
    )
    max_override_rate = models.FloatField(
        null=True,
        blank=True,
        help_text="Start when readers overrule the AI in more than this share of answers (30 days, lower 95 % limit).",
    )
    every_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Start when the last run is this many days old."
    )
    checked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "training policy"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(pk=1), name="one_training_policy")]

    def __str__(self) -> str:
        return "on" if self.is_on else "off"


class TriggerFiring(models.Model):
    """A request of the policy for a run: trigger and outcome. At most one per set of labels. Append-only."""

    class Trigger(models.TextChoices):
        NEW_LABELS = "new_labels", "new labels"
        DRIFT = "drift", "drift"
        OVERRIDES = "overrides", "overruled answers"
        SCHEDULE = "schedule", "schedule"

    trigger = models.CharField(max_length=10, choices=Trigger)
    reason = models.TextField()
    fingerprint = models.CharField(max_length=64, unique=True, help_text="Fingerprint of the labels at that time.")
    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, null=True, blank=True, related_name="firing")
    error = models.TextField(blank=True, help_text="Why no run could start.")
    fired_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-fired_at"]

    def __str__(self) -> str:
        return f"{self.get_trigger_display()}: {self.reason}"
