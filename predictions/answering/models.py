"""Predictions: what a release answered for a photo, and who has been shown it."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet
from cataract.ml import labels
from predictions.photos.models import EyeImage
from predictions.releases.models import Release


class PredictionQuerySet(LeasedQuerySet["Prediction"]):
    OPEN = "queued"
    MOVES: ClassVar = {"done": frozenset({"queued"}), "failed": frozenset({"queued"}), "queued": frozenset({"failed"})}

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The predictions of the photos that `user` may see, with photo and release, newest first."""
        if not isinstance(user, User):
            return self.none()
        everything = self.select_related("image", "release")
        if user.has_perm("predictions.view_every_eyeimage"):
            return everything
        return everything.filter(image__uploaded_by_id=user.pk)


class Prediction(models.Model):
    """What one release answered for one EyeImage. Never changed once it is DONE.

    QUEUED -> DONE, or QUEUED -> FAILED after settings.PREDICTION_ATTEMPTS; FAILED -> QUEUED when an admin retries.
    Without a champion a prediction is DONE with no decision and the reason `no_champion`: a clinician reviews it.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        DONE = "done"
        FAILED = "failed"

    class Decision(models.TextChoices):
        CATARACT = labels.Decision.CATARACT.value, "Probably cataract"
        NORMAL = labels.Decision.NORMAL.value, "No sign of cataract in this photo"
        UNGRADABLE = labels.Decision.UNGRADABLE.value, "Cannot judge"

    class Mode(models.TextChoices):
        CASCADE = labels.Mode.CASCADE.value
        FAST = labels.Mode.FAST.value
        ACCURATE = labels.Mode.ACCURATE.value
        ALWAYS = labels.Mode.ALWAYS.value

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="predictions")
    status = models.CharField(max_length=6, choices=Status, default=Status.QUEUED)
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.CASCADE)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Also the fencing token of the attempt that holds the lease."
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    release = models.ForeignKey(Release, on_delete=models.PROTECT, null=True, blank=True, related_name="predictions")
    policy_version = models.CharField(max_length=32, blank=True)
    decision = models.CharField(max_length=10, choices=Decision, blank=True)
    probability = models.FloatField(
        null=True, blank=True, help_text="Calibrated probability of cataract behind the decision."
    )
    fast_score = models.FloatField(null=True, blank=True, help_text="Raw score (log-odds) of the fast model.")
    fast_probability = models.FloatField(null=True, blank=True)
    accurate_score = models.FloatField(null=True, blank=True, help_text="Raw score (logit) of the accurate model.")
    accurate_probability = models.FloatField(null=True, blank=True)
    route = models.CharField(max_length=16, blank=True, help_text="gate, fast, accurate or fast+accurate.")
    needs_review = models.BooleanField(default=False)
    reasons = models.JSONField(default=list, blank=True)
    review_propensity = models.FloatField(
        null=True,
        blank=True,
        help_text="Probability of being sent to review; 1 when review was certain.",
    )
    gate = models.JSONField(default=dict, blank=True, help_text="What the gate measured and decided.")
    timings = models.JSONField(default=dict, blank=True, help_text="Milliseconds per stage.")

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["status", "lease_until"], name="prediction_waiting"),
            models.Index(fields=["needs_review", "status"], name="prediction_for_review"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(status__in=["queued", "done", "failed"]), name="prediction_status"),
            models.CheckConstraint(
                condition=Q(decision__in=["cataract", "normal", "ungradable", ""]), name="prediction_decision"
            ),
            models.CheckConstraint(
                condition=~Q(status="done")
                | (
                    Q(done_at__isnull=False, review_propensity__gt=0, review_propensity__lte=1)
                    & (Q(release__isnull=False) & ~Q(decision="") | Q(decision="", needs_review=True))
                ),
                name="done_prediction_is_complete",
            ),
            models.CheckConstraint(
                condition=~Q(status="queued") | Q(decision="", done_at__isnull=True), name="queued_prediction_is_silent"
            ),
            models.CheckConstraint(
                condition=Q(probability__isnull=True) | Q(probability__gte=0, probability__lte=1),
                name="prediction_probability",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.decision or self.status}"

    @property
    def api_url(self) -> str:
        """The API path of this prediction."""
        return f"/api/v1/predictions/{self.pk}"


class Disclosure(models.Model):
    """A user has been shown the AI's answer for an image: that user is never its blind reader."""

    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="disclosures")
    image = models.ForeignKey(EyeImage, on_delete=models.CASCADE, related_name="disclosures")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["prediction", "user"], name="one_disclosure_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} saw {self.prediction_id}"
