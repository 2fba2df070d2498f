"""Labels become a release: the frozen data, the run, and the comparison on which a person decides."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from predictions.models import EyeImage, LiveTest, Promotion, Release, Split
from predictions.status import StatusQuerySet
from review.models import Label


class Dataset(models.Model):
    """A frozen list of (image, label, split, weight). The same labels give the same fingerprint."""

    fingerprint = models.CharField(primary_key=True, max_length=64, help_text="sha256 over its rows.")
    counts = models.JSONField(default=dict, help_text="Rows by split and class.")
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"dataset {self.fingerprint[:12]}"


class DatasetItem(models.Model):
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="items")
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=10)
    split = models.CharField(max_length=11, choices=Split)
    cluster = models.PositiveBigIntegerField(help_text="The cluster at the time of freezing.")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "image"], name="one_item_per_image"),
            models.CheckConstraint(condition=~Q(split="excluded"), name="excluded_images_are_in_no_dataset"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} {self.answer} ({self.split})"


class LabelCheckQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "running": frozenset({"queued"}),
        "done": frozenset({"running"}),
        "failed": frozenset({"queued", "running"}),
    }


class LabelCheck(models.Model):
    """One search for labels that are probably wrong. QUEUED -> RUNNING -> DONE or FAILED."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    ACTIVE: ClassVar = (Status.QUEUED, Status.RUNNING)

    status = models.CharField(max_length=7, choices=Status, default=Status.QUEUED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    photos = models.PositiveIntegerField(default=0, help_text="How many labels were looked at.")
    suspects = models.JSONField(
        default=list, help_text="[label id, probability of what it says], the most doubtful first."
    )
    error = models.TextField(blank=True)

    objects = LabelCheckQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed"]), name="check_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(finished_at__isnull=False), name="done_check_has_time"
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_check_has_error"),
            models.UniqueConstraint(
                models.Value(1), condition=Q(status__in=["queued", "running"]), name="one_active_check"
            ),
        ]

    def __str__(self) -> str:
        return f"label check of {self.created_at:%Y-%m-%d %H:%M}"


class TrainingRunQuerySet(StatusQuerySet):
    MOVES: ClassVar = {
        "running": frozenset({"queued", "interrupted"}),
        "succeeded": frozenset({"running"}),
        "failed": frozenset({"queued", "running"}),
        "cancelled": frozenset({"queued", "running", "interrupted"}),
        "interrupted": frozenset({"running"}),
        "queued": frozenset({"interrupted"}),
    }

    def in_the_way_of(self, kind: str) -> Self:
        """Active runs that train a model which a run of `kind` trains too."""
        active = self.in_status(*TrainingRun.ACTIVE)
        return active if kind == TrainingRun.Kind.BOTH else active.filter(kind__in=(kind, TrainingRun.Kind.BOTH))


def _alone_with(model: str) -> models.UniqueConstraint:
    """Of the runs that claim their model for themselves, one at a time trains `model`; `both` trains each."""
    return models.UniqueConstraint(
        models.Value(1),
        condition=Q(status__in=["queued", "running"], kind__in=[model, "both"], is_alone=True),
        name=f"one_active_run_of_the_{model}_model",
    )


class TrainingRun(models.Model):
    """One attempt to turn a Dataset into a Release.

    QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED; RUNNING -> INTERRUPTED (silent for 60 s) -> QUEUED.
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
        Release, on_delete=models.PROTECT, related_name="+", help_text="Whose encoder it starts from."
    )
    release = models.ForeignKey(  # the same data, seed and code make the same release
        Release, on_delete=models.PROTECT, null=True, blank=True, related_name="training_runs"
    )
    parameters = models.JSONField(default=dict, blank=True)
    seed = models.PositiveIntegerField(default=0)
    is_alone = models.BooleanField(
        default=True,
        help_text="No other run that is alone trains its model meanwhile (by TRAINING_PARALLEL at the start).",
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Also the fencing token of the worker that runs it."
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    stage = models.CharField(max_length=64, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    eta_seconds = models.FloatField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    mlflow_run_id = models.CharField(max_length=64, blank=True)
    mlflow_experiment_id = models.CharField(max_length=64, blank=True)
    log = models.TextField(blank=True, help_text="The tail of what the run said.")
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
        """Who or what started it: a person, a trigger of the policy with its reason, or the command line."""
        if self.requested_by:
            return str(self.requested_by.get_username())
        firing: TriggerFiring | None = getattr(self, "firing", None)
        return f"the policy ({firing})" if firing else "the command line"


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


class TrainingPolicy(models.Model):
    """When a training run starts by itself; one row, off until an admin turns it on. It never promotes anything."""

    is_on = models.BooleanField("on", default=False)
    kind = models.CharField("what to train", max_length=8, choices=TrainingRun.Kind, default=TrainingRun.Kind.BOTH)
    new_labels = models.PositiveIntegerField(
        null=True, blank=True, help_text="Start when so many confirmed labels are new since the last dataset."
    )
    max_drift = models.FloatField(
        null=True,
        blank=True,
        help_text="Start when a population stability index of the last 7 days is above; 0.25 is usual.",
    )
    max_override_rate = models.FloatField(
        null=True,
        blank=True,
        help_text="Start when people surely contradict more than this share of the answers of the last 30 days.",
    )
    every_days = models.PositiveIntegerField(null=True, blank=True, help_text="Start when the last run is so old.")

    class Meta:
        verbose_name = verbose_name_plural = "policy: when a run starts by itself"
        constraints: ClassVar = [models.CheckConstraint(condition=Q(pk=1), name="one_training_policy")]

    def __str__(self) -> str:
        return "on" if self.is_on else "off"


class TriggerFiring(models.Model):
    """That the policy asked for a run, why, and what became of it. Once for the same labels. Append-only."""

    class Trigger(models.TextChoices):
        NEW_LABELS = "new_labels", "new labels"
        DRIFT = "drift", "drift"
        OVERRIDES = "overrides", "contradicted answers"
        SCHEDULE = "schedule", "schedule"

    trigger = models.CharField(max_length=10, choices=Trigger)
    reason = models.TextField()
    fingerprint = models.CharField(max_length=64, unique=True, help_text="Of the labels as they were.")
    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, null=True, blank=True, related_name="firing")
    error = models.TextField(blank=True, help_text="Why no run could start.")
    fired_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-fired_at"]

    def __str__(self) -> str:
        return f"{self.get_trigger_display()}: {self.reason}"


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
