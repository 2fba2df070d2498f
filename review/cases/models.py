"""Review cases, readings, amendments, skips, and each reader's settings."""

import uuid
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from cataract.core.models import ApiToken
from cataract.core.querysets import StatusQuerySet
from predictions.answering.answers import Answer, Grade, OtherPathology, UngradableBecause
from predictions.answering.models import FinalResult, Prediction
from predictions.photos.models import EyeImage


class ReviewCaseQuerySet(StatusQuerySet["ReviewCase"]):
    MOVES: ClassVar = {
        # Moves back (to "first", "second", "adjudication") reopen a case whose answer was undone.
        "first": frozenset({"second", "resolved"}),
        "second": frozenset({"first", "adjudication", "resolved"}),
        "adjudication": frozenset({"second", "resolved"}),
        "resolved": frozenset({"first", "second", "adjudication"}),
        "withdrawn": frozenset({"first", "second", "adjudication"}),
    }

    def of_photos_in_use(self) -> Self:
        """The cases of photos that are neither withdrawn nor deleted."""
        return self.filter(image__status=EyeImage.Status.KEPT, image__withdrawn_at__isnull=True)

    def settled(self) -> Self:
        """Resolved cases of photos in use, with no open case of the same cluster.

        Whoever is shown the result of one of them does not stop being the blind reader of a case that waits.
        """
        waiting = ReviewCase.objects.filter(image__cluster=OuterRef("image__cluster"), status__in=ReviewCase.OPEN)
        resolved = self.filter(kind=ReviewCase.Kind.CASE, status=ReviewCase.Status.RESOLVED)
        return resolved.of_photos_in_use().filter(~Exists(waiting))

    def with_answer_of_people(self) -> Self:
        """Cases whose sender was told a final answer by people, each with that `answer`."""
        told = FinalResult.objects.standing().by_people().filter(status__in=FinalResult.TOLD)
        result = Subquery(told.filter(prediction=OuterRef("prediction")).values("answer")[:1])
        return self.annotate(answer=result).filter(answer__isnull=False)


class ReviewCase(models.Model):
    """A prediction that a clinician should read.

    FIRST -> RESOLVED, or FIRST -> SECOND -> RESOLVED, or FIRST -> SECOND -> ADJUDICATION -> RESOLVED.
    FIRST -> WITHDRAWN when a retake replaces the photo before anybody has answered.
    The status names the reading that is due; a claim is a lease on that reading.
    """

    class Status(models.TextChoices):
        FIRST = "first", "waiting for the first reading"
        SECOND = "second", "waiting for a second reader"
        ADJUDICATION = "adjudication", "waiting for an adjudicator"
        RESOLVED = "resolved", "resolved"
        WITHDRAWN = "withdrawn", "withdrawn"

    class Kind(models.TextChoices):
        CASE = "case", "a prediction to look at"
        CONTROL = "control", "hidden: a photo whose answer is known"
        REPEAT = "repeat", "hidden: a photo that the same reader read before, mirrored"

    OPEN: ClassVar = (Status.FIRST, Status.SECOND, Status.ADJUDICATION)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=7, choices=Kind, default=Kind.CASE)
    prediction = models.OneToOneField(
        Prediction, on_delete=models.PROTECT, null=True, blank=True, related_name="review_case"
    )
    image = models.ForeignKey(EyeImage, on_delete=models.PROTECT, related_name="review_cases")
    status = models.CharField(max_length=12, choices=Status, default=Status.FIRST)
    reasons = models.JSONField(
        default=list, help_text="Why the case was chosen; hidden until the blind answer is stored."
    )
    review_propensity = models.FloatField(help_text="Probability with which the case was chosen.")
    policy_version = models.CharField(max_length=32)
    priority = models.PositiveSmallIntegerField(default=50, help_text="Lower is sooner.")
    shuffle = models.PositiveIntegerField(
        default=0, help_text="Order inside a priority band: a hash, so never a score."
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Chosen by an admin for the next reading; others get the case only after it has waited too long.",
    )
    # Hidden checks only (see review/queue/hidden_checks.py): they have no prediction, make no label, have one reader.
    only_for = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    known_answer = models.CharField(max_length=10, choices=Answer, blank=True)
    mirrored = models.BooleanField(default=False, help_text="Shown mirrored, as the other eye.")
    created_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = ReviewCaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["priority", "created_at"]
        indexes: ClassVar = [
            models.Index(fields=["status", "priority", "shuffle"], name="case_queue"),
            models.Index(fields=["-created_at", "id"], name="case_newest"),
            models.Index(fields=["lease_until"], condition=Q(lease_until__isnull=False), name="case_leased"),
        ]
        permissions: ClassVar = [
            ("read_reviewcase", "Can claim and answer review cases"),
            ("adjudicate_reviewcase", "Can adjudicate where two readers differ"),
            ("assign_reviewcase", "Can assign cases to readers and change their priority"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=["first", "second", "adjudication", "resolved", "withdrawn"]), name="case_status"
            ),
            models.CheckConstraint(
                condition=Q(review_propensity__gt=0, review_propensity__lte=1), name="case_propensity"
            ),
            models.CheckConstraint(
                condition=~Q(status="resolved") | Q(resolved_at__isnull=False), name="resolved_case_has_time"
            ),
            models.CheckConstraint(
                condition=Q(claimed_by__isnull=True, lease_until__isnull=True)
                | Q(claimed_by__isnull=False, lease_until__isnull=False),
                name="claim_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(kind="case", prediction__isnull=False, only_for__isnull=True, known_answer="")
                | Q(kind__in=["control", "repeat"], prediction__isnull=True, only_for__isnull=False)
                & ~Q(known_answer=""),
                name="case_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"case {str(self.id)[:8]}: {self.get_status_display()}"

    @property
    def shown_eye(self) -> str:
        """The eye as the photo shows it: a mirrored right eye is a left eye."""
        eye = str(self.image.eye)
        return {"OD": "OS", "OS": "OD"}.get(eye, "") if self.mirrored else eye


class ShownFirst(models.Model):
    """A reader was deliberately shown the AI's answer before reading, to measure its influence on readers."""

    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, related_name="shown_first")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["case", "reader"], name="shown_first_once_per_reader")]

    def __str__(self) -> str:
        return f"{self.reader_id} saw the AI first on {self.case_id}"


class Skip(models.Model):
    """A reader put a case back unread, and why. The case goes to the end of this reader's queue."""

    case = models.ForeignKey(ReviewCase, on_delete=models.CASCADE, related_name="skips")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at"]

    def __str__(self) -> str:
        return f"{self.case_id} skipped by {self.reader_id}"


class Amendment(models.Model):
    """An adjudicator changed the answer of a resolved case, or sent it to a fresh reading: who, when and why.

    Append-only. The readings that it took back name it (`Reading.taken_back_by`).
    """

    class Kind(models.TextChoices):
        AMENDED = "amended", "amended"
        REOPENED = "reopened", "reopened"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, related_name="amendments")
    kind = models.CharField(max_length=8, choices=Kind)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(help_text="For the record and for the sender of the photo.")
    answer_before = models.CharField(max_length=10, choices=Answer, blank=True)
    answer = models.CharField(max_length=10, choices=Answer, blank=True, help_text="Empty where it was reopened.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="amended", answer__in=Answer.values) | Q(kind="reopened", answer=""),
                name="amendment_answer",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="amendment_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.case_id} {self.get_kind_display()} by {self.by_id}"


class ReadingQuerySet(models.QuerySet["Reading"]):
    def standing(self) -> "ReadingQuerySet":
        """Readings that were not undone."""
        return self.filter(retracted_at__isnull=True)


class Reading(models.Model):
    """One reader's answer to one case: the blind answer, when the AI was shown, the final answer.

    Append-only: a stored answer is never edited; undoing sets `retracted_at`.
    """

    class Role(models.TextChoices):
        FIRST = "first", "first reader"
        SECOND = "second", "second reader"
        ADJUDICATOR = "adjudicator", "adjudicator"
        EXTRA = "extra", "additional opinion"

    VIEWER_KEYS: ClassVar = frozenset({"zoom", "brightness", "contrast", "redfree", "invert"})  # what `viewer` may hold

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, related_name="readings")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    role = models.CharField(max_length=11, choices=Role)
    blind_answer = models.CharField(max_length=10, choices=Answer)
    blind_at = models.DateTimeField(default=timezone.now)
    blind_seconds = models.FloatField(
        null=True, blank=True, help_text="Seconds from showing the photo to the blind answer."
    )
    ai_shown_at = models.DateTimeField(null=True, blank=True)
    ai_shown_first = models.BooleanField(default=False, help_text="Shown on purpose before the answer; never trains.")
    final_answer = models.CharField(max_length=10, choices=Answer, blank=True)
    final_at = models.DateTimeField(null=True, blank=True)
    final_seconds = models.FloatField(
        null=True, blank=True, help_text="Seconds from showing the AI's answer to the final answer."
    )
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
    key = models.ForeignKey(
        ApiToken,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The API key of the answer.",
    )
    session = models.CharField(  # noqa: DJ001  # null, so that the column is added without rewriting the table
        max_length=32, null=True, blank=True, help_text="The mark of the session of the answer, as at its sign-in."
    )
    retracted_at = models.DateTimeField(null=True, blank=True)
    taken_back_by = models.ForeignKey(
        Amendment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="taken_back",
        help_text="The amendment that retracted it; its reader does not read the case again.",
    )

    objects = ReadingQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["blind_at"]
        indexes: ClassVar = [
            models.Index(fields=["reader", "-blind_at"], name="reading_of_reader"),
            models.Index(fields=["blind_at"], name="reading_by_time"),
            models.Index(
                fields=["case"], condition=Q(final_answer="", retracted_at__isnull=True), name="reading_pending"
            ),
        ]
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
        return f"reading {str(self.pk)[:8]} by the {self.get_role_display()}"


class ReviewerSettings(models.Model):
    """The keyboard shortcuts that one reader changed."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="reviewer_settings"
    )
    keys = models.JSONField(default=dict, blank=True, help_text="Action to key, for changed actions only.")

    def __str__(self) -> str:
        return f"review settings of {self.user_id}"
