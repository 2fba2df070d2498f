"""Training of readers: the instructions, the cases chosen for practice, and each session with its answers."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from predictions.answering.answers import Answer
from review.cases.models import ReviewCase


class Instructions(models.Model):
    """The reading instructions of this installation. The newest row counts; nothing is edited."""

    text = models.TextField(help_text="Plain text; an empty line begins a new paragraph.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at", "-pk"]
        verbose_name_plural = "instructions"
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"instructions of {self.at:%Y-%m-%d}"


class PracticeCase(models.Model):
    """A resolved case that new readers practise on, until it is taken out again."""

    case = models.OneToOneField(ReviewCase, on_delete=models.PROTECT, related_name="practice")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-added_at"]
        default_permissions: ClassVar = ()
        permissions: ClassVar = [
            ("manage_readers", "Can choose practice cases, write the instructions, and lift pauses of readers"),
        ]

    def __str__(self) -> str:
        return f"practice on {self.case_id}"


class PracticeSession(models.Model):
    """One attempt of one reader: practice with immediate feedback, or the qualifying set. Its answers are no labels."""

    class Kind(models.TextChoices):
        PRACTICE = "practice", "practice"
        QUALIFYING = "qualifying", "qualifying set"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="practice_sessions")
    kind = models.CharField(max_length=10, choices=Kind)
    pass_mark = models.FloatField(help_text="Share of right answers that passes, as it was at the start.")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    right = models.PositiveSmallIntegerField(null=True, blank=True)
    asked = models.PositiveSmallIntegerField(null=True, blank=True)
    passed = models.BooleanField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-started_at"]
        default_permissions: ClassVar = ()
        indexes: ClassVar = [models.Index(fields=["reader", "-started_at"], name="practice_of_reader")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=["practice", "qualifying"]), name="practice_kind"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True, passed__isnull=True)
                | Q(finished_at__isnull=False, passed__isnull=False, right__lte=F("asked")),
                name="finished_practice_has_a_result",
            ),
            models.UniqueConstraint(
                fields=["reader", "kind"], condition=Q(finished_at__isnull=True), name="one_running_practice_per_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.reader_id}, {self.started_at:%Y-%m-%d}"


class PracticeItem(models.Model):
    """One question of a session: a case, or an eye drawn from a seed; what is right, and what was answered."""

    session = models.ForeignKey(PracticeSession, on_delete=models.PROTECT, related_name="items")
    number = models.PositiveSmallIntegerField()
    case = models.ForeignKey(ReviewCase, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    drawing = models.PositiveIntegerField(null=True, blank=True, help_text="The seed of a drawn eye.")
    expected = models.CharField(max_length=10, choices=Answer)
    answer = models.CharField(max_length=10, choices=Answer, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["number"]
        default_permissions: ClassVar = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["session", "number"], name="one_practice_item_per_number"),
            models.CheckConstraint(
                condition=Q(case__isnull=True, drawing__isnull=False) | Q(case__isnull=False, drawing__isnull=True),
                name="practice_item_shows_one_thing",
            ),
            models.CheckConstraint(condition=Q(expected__in=Answer.values), name="practice_item_expected"),
            models.CheckConstraint(
                condition=Q(answer="", answered_at__isnull=True)
                | Q(answer__in=Answer.values, answered_at__isnull=False),
                name="practice_answer_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"question {self.number} of {self.session_id}"

    @property
    def is_right(self) -> bool:
        return self.answer == self.expected
