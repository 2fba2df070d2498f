"""Predictions: what a release answered for a photo, what its sender is told in the end, and who has been shown it."""

import uuid
from datetime import datetime
from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.urls import get_script_prefix
from django.utils import timezone

from cataract.core.querysets import LeasedQuerySet
from cataract.ml import labels
from predictions.answering.answers import Answer, OtherPathology, UngradableBecause
from predictions.photos.models import EyeImage, WrongPatientCheck
from predictions.releases.models import Release


class PredictionQuerySet(LeasedQuerySet["Prediction"]):
    OPEN = "queued"
    MOVES: ClassVar = {"done": frozenset({"queued"}), "failed": frozenset({"queued"}), "queued": frozenset({"failed"})}

    def of_kept_photos(self) -> Self:
        """The predictions of photos that are neither in the trash nor purged."""
        return self.filter(image__status=EyeImage.Status.KEPT)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """The predictions of the photos that `user` may see, with all that a result shows, newest first."""
        if not isinstance(user, User):
            return self.none()
        everything = self.as_shown().of_kept_photos()
        if user.has_perm("predictions.view_every_eyeimage"):
            return everything
        return everything.filter(image__in=EyeImage.objects.visible_to(user).values("pk"))

    def known_to(self, user: User) -> Self:
        """The predictions of photos that `user` sent, asked about, or was shown an answer for."""
        shown = Disclosure.objects.filter(image=OuterRef("image_id"), user_id=user.pk)
        return self.filter(Q(image__uploaded_by_id=user.pk) | Q(requested_by_id=user.pk) | Exists(shown))

    def in_use(self) -> Self:
        """Without the predictions of withdrawn photos."""
        return self.filter(image__withdrawn_at__isnull=True)

    def without_case(self) -> Self:
        """The predictions that a person should read and of which no case is noted: an index holds only these few."""
        needed = Q(status=Prediction.Status.DONE, needs_review=True) | Q(status=Prediction.Status.FAILED)
        return self.filter(needed, has_case=False)

    def checked_by_accurate(self) -> Self:
        """The answers that the fast model gave alone, drawn by hash to be checked by the accurate one."""
        return self.filter(status=Prediction.Status.DONE, route=labels.Route.FAST, accurate_probability__isnull=False)

    def as_shown(self) -> Self:
        """These predictions with photo, patient, site, device, release and standing final result: 2 queries."""
        standing = Prefetch("final_results", FinalResult.objects.standing(), to_attr="standing_results")
        with_photo = self.select_related("image__patient", "image__site", "image__device", "release")
        open_check = WrongPatientCheck.objects.open().about(OuterRef("image_id"))
        return with_photo.prefetch_related(standing).annotate(has_open_check=Exists(open_check))

    def in_state(self, *states: str) -> Self:
        """The predictions in one of these `Prediction.State`s."""
        standing = FinalResult.objects.standing().filter(prediction=OuterRef("pk"))
        by_people = standing.by_people()
        found = Q(pk__in=[])
        for state in states:
            if state == Prediction.State.QUEUED:
                found |= Q(status=Prediction.Status.QUEUED)
            elif state == Prediction.State.REPLACED:
                found |= Q(replaced_by__isnull=False) & ~Q(Exists(by_people))
            elif state == Prediction.State.WAITING:
                answered = ~Q(status=Prediction.Status.QUEUED)
                found |= answered & Q(replaced_by__isnull=True) & ~Q(Exists(standing))
            else:
                is_counting = Q(replaced_by__isnull=True) | Q(Exists(by_people))
                found |= is_counting & Q(Exists(standing.filter(status=state)))
        return self.filter(found)

    def changed_since(self, moment: datetime) -> Self:
        """The predictions that were made, finished, replaced or corrected, or whose final result changed since then."""
        own = Prediction.objects.order_by().values("pk")
        results = FinalResult.objects.order_by().values("prediction")
        finished = (Prediction.Status.DONE, Prediction.Status.FAILED)
        # One query for each kind of change: each has an index, and one condition for all of them could use none.
        changed = own.filter(created_at__gte=moment).union(
            own.filter(status__in=finished, done_at__gte=moment),
            own.filter(replaced_at__gte=moment),
            own.filter(image__in=EyeImage.objects.filter(corrected_at__gte=moment).values("pk")),
            results.filter(at__gte=moment),
            results.filter(superseded_at__gte=moment),
        )
        return self.filter(pk__in=changed)


class Prediction(models.Model):
    """What one release answered for one EyeImage. Never changed once it is DONE, except that a retake may replace it.

    (Beside that, `has_case` is noted: bookkeeping of the review, no part of the answer.)

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

    class State(models.TextChoices):
        """How far a prediction is for its sender."""

        QUEUED = "queued", "In progress"
        WAITING = "waiting", "Clinician review pending"
        PROVISIONAL = "provisional", "Provisional"
        FINAL = "final", "Final"
        AMENDED = "amended", "Amended"
        REPLACED = "replaced", "Replaced by a better photo"

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
    created_at = models.DateTimeField(default=timezone.now)

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
    has_case = models.BooleanField(
        default=False, help_text="Whether a case was opened for it: the review looks for the others only."
    )
    reasons = models.JSONField(default=list, blank=True)
    review_propensity = models.FloatField(
        null=True,
        blank=True,
        help_text="Probability of being sent to review; 1 when review was certain.",
    )
    gate = models.JSONField(default=dict, blank=True, help_text="What the gate measured and decided.")
    timings = models.JSONField(default=dict, blank=True, help_text="Milliseconds per stage.")
    replaced_by = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="replaces",
        help_text="The answer of a retake that can be judged, where this photo could not be.",
    )
    replaced_at = models.DateTimeField(null=True, blank=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["status", "lease_until"], name="prediction_waiting"),
            models.Index(fields=["-created_at", "id"], name="prediction_newest"),  # the order of every list
            models.Index(fields=["status", "done_at"], name="prediction_done"),
            models.Index(fields=["replaced_at"], condition=Q(replaced_at__isnull=False), name="prediction_replaced"),
            models.Index(
                fields=["created_at"],
                condition=Q(has_case=False) & (Q(status="done", needs_review=True) | Q(status="failed")),
                name="prediction_without_case",
            ),
            models.Index(fields=["release", "done_at"], name="prediction_of_release"),
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
            models.CheckConstraint(
                condition=Q(replaced_by__isnull=True, replaced_at__isnull=True)
                | Q(replaced_by__isnull=False, replaced_at__isnull=False, decision="ungradable"),
                name="replaced_prediction_is_ungradable",
            ),
        ]

    def __str__(self) -> str:
        return f"prediction {str(self.pk)[:8]} ({self.status})"

    @property
    def final_result(self) -> "FinalResult | None":
        """The standing final result; none while it waits for an answer. Costs a query unless read by `as_shown`."""
        if hasattr(self, "standing_results"):
            return next(iter(self.standing_results), None)
        return self.final_results.standing().first()

    @property
    def state(self) -> "Prediction.State":
        """How far this prediction is for its sender."""
        if self.status == self.Status.QUEUED:
            return self.State.QUEUED
        result = self.final_result
        if self.replaced_by_id is not None and (result is None or not result.is_by_people):
            return self.State.REPLACED
        return self.State.WAITING if result is None else self.State(result.status)

    def is_shown_to(self, user: User) -> bool:
        """Whether the answer was stored together with the note that `user` is shown it, by this very object."""
        return bool(vars(self).get("shown_to_id") == user.pk)

    @property
    def asks_whose_photo(self) -> bool:
        """Whether a near-copy of its photo belongs to another patient and nobody has checked yet."""
        if hasattr(self, "has_open_check"):  # read by `as_shown`
            return bool(self.has_open_check)
        return WrongPatientCheck.objects.open().about(self.image_id).exists()

    @property
    def api_url(self) -> str:
        """The API path of this prediction."""
        return f"{get_script_prefix()}api/v1/predictions/{self.pk}"


class FinalResultQuerySet(models.QuerySet["FinalResult"]):
    def standing(self) -> "FinalResultQuerySet":
        """Results that no later one supersedes and that were not taken back."""
        return self.filter(superseded_at__isnull=True)

    def by_people(self) -> "FinalResultQuerySet":
        return self.exclude(basis=FinalResult.Basis.AI)


class FinalResult(models.Model):
    """What the sender of one prediction is told in the end. Append-only: a later one supersedes it.

    PROVISIONAL while a check is still due, then FINAL; AMENDED when the answer that was told as final changes. The
    AI's own answer stays in the Prediction. A reader's name is never part of it.
    """

    class Basis(models.TextChoices):
        AI = "ai", "AI alone"
        SINGLE = "single", "one clinician"
        DOUBLE = "double", "two clinicians"
        ADJUDICATED = "adjudicated", "adjudication"

    class Status(models.TextChoices):
        PROVISIONAL = "provisional"
        FINAL = "final"
        AMENDED = "amended"

    TOLD: ClassVar = (Status.FINAL, Status.AMENDED)

    prediction = models.ForeignKey(Prediction, on_delete=models.PROTECT, related_name="final_results")
    answer = models.CharField(max_length=10, choices=Answer)
    detail = models.CharField(
        max_length=64,
        blank=True,
        choices=[*UngradableBecause.choices, *OtherPathology.choices],
        help_text="Why it cannot be judged, or which other pathology.",
    )
    basis = models.CharField(max_length=11, choices=Basis)
    status = models.CharField(max_length=11, choices=Status)
    contradicts_ai = models.BooleanField(default=False)
    reason = models.TextField(blank=True, help_text="Why it was amended, for the sender.")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    superseded_at = models.DateTimeField(null=True, blank=True, db_index=True)

    objects = FinalResultQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["prediction"], condition=Q(superseded_at__isnull=True), name="one_standing_final_result"
            ),
            models.CheckConstraint(condition=Q(answer__in=Answer.values), name="final_result_answer"),
            models.CheckConstraint(
                condition=Q(basis__in=["ai", "single", "double", "adjudicated"]), name="final_result_basis"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["provisional", "final", "amended"]), name="final_result_status"
            ),
            models.CheckConstraint(
                condition=~Q(basis="ai") | Q(contradicts_ai=False), name="the_ai_never_contradicts_itself"
            ),
        ]

    def __str__(self) -> str:
        return f"final result of {str(self.prediction_id)[:8]} ({self.status})"

    @property
    def is_by_people(self) -> bool:
        return self.basis != self.Basis.AI


class Disclosure(models.Model):
    """A user has been shown an answer for an image, the AI's or people's: that user is never its blind reader."""

    prediction = models.ForeignKey(Prediction, on_delete=models.PROTECT, related_name="disclosures")
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="disclosures", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["image", "user"], name="disclosure_of_image")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["prediction", "user"], name="one_disclosure_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} saw {self.prediction_id}"
