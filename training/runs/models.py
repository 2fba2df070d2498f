"""Training runs: the attempts to turn a dataset into a release."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import StatusQuerySet
from predictions.releases.models import Release
from training.datasets.models import Dataset


class TrainingRunQuerySet(StatusQuerySet["TrainingRun"]):
    MOVES: ClassVar = {
        "running": frozenset({"queued", "interrupted"}),
        "succeeded": frozenset({"running"}),
        "failed": frozenset({"queued", "running"}),
        "cancelled": frozenset({"queued", "running", "interrupted"}),
        "interrupted": frozenset({"running"}),
        "queued": frozenset({"interrupted"}),
    }

    def in_the_way_of(self, kind: str) -> Self:
        """Active runs that train one of the models of a run of `kind`."""
        active = self.in_status(*TrainingRun.ACTIVE)
        return active if kind == TrainingRun.Kind.BOTH else active.filter(kind__in=(kind, TrainingRun.Kind.BOTH))


def _alone_with(model: str) -> models.UniqueConstraint:
    """At most one active run with `is_alone` trains `model`; a run of kind `both` counts for each."""
    return models.UniqueConstraint(
        models.Value(1),
        condition=Q(status__in=["queued", "running"], kind__in=[model, "both"], is_alone=True),
        name=f"one_active_run_of_the_{model}_model",
    )


class TrainingRun(models.Model):
    """One attempt to turn a Dataset into a Release.

    QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED; RUNNING -> INTERRUPTED when no heartbeat has come for
    TRAINING_SILENT_SECONDS; INTERRUPTED -> QUEUED by itself TRAINING_RESUMES times, then by a person.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        INTERRUPTED = "interrupted"

    class Kind(models.TextChoices):
        FAST = "fast", "fast model"
        ACCURATE = "accurate", "accurate model"
        BOTH = "both", "both models"

    ACTIVE: ClassVar = (Status.QUEUED, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.BOTH)
    status = models.CharField(max_length=11, choices=Status, default=Status.QUEUED)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="runs")
    base_release = models.ForeignKey(
        Release, on_delete=models.PROTECT, related_name="+", help_text="The release whose encoder the run starts from."
    )
    release = models.ForeignKey(  # several runs: the same data, seed and code make the same release
        Release, on_delete=models.PROTECT, null=True, blank=True, related_name="training_runs"
    )
    parameters = models.JSONField(default=dict, blank=True)
    seed = models.PositiveIntegerField(default=0)
    is_alone = models.BooleanField(
        default=True,
        help_text="No other exclusive run trains the same model (TRAINING_PARALLEL when the run was queued).",
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Also the fencing token of the attempt that holds the lease."
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(max_length=64, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    eta_seconds = models.FloatField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    mlflow_run_id = models.CharField(max_length=64, blank=True)
    mlflow_experiment_id = models.CharField(max_length=64, blank=True)
    photos_left_out = models.PositiveIntegerField(
        default=0, help_text="Photos of the dataset that may not train any more and that MLflow's list leaves out."
    )
    log = models.TextField(blank=True, help_text="The last lines of the run's log.")
    curves = models.JSONField(
        default=dict,
        blank=True,
        help_text="The losses so far, for the plots of the run's page (training/runs/curves.py).",
    )
    error = models.TextField(blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]),
                name="run_status",
            ),
            models.CheckConstraint(
                condition=~Q(status="succeeded") | Q(release__isnull=False), name="success_has_release"
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failure_has_error"),
            _alone_with("fast"),
            _alone_with("accurate"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.created_at:%Y-%m-%d %H:%M} ({self.status})"

    @property
    def asked_for_by(self) -> str:
        """What started it: a person, a trigger of the policy with its reason, or the command line."""
        if self.requested_by:
            return str(self.requested_by.get_username())
        firing = getattr(self, "firing", None)  # of `training.triggers`
        return f"the policy ({firing})" if firing else "the command line"
