"""Whether a reader may read new cases: not before the qualifying set is passed, and not while paused.

The rule of pauses is REVIEW_PAUSE_FAILED wrong answers among the last REVIEW_PAUSE_OF control cases. With 3 of 10, a
reader who is right in 95 of 100 control cases is that bad in 1.2 % of such windows (binomial), one who is right in 70
of 100 in 62 %.
"""

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, Q

from cataract.core.errors import DomainError
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import READ
from review.pauses.models import ReadingPause
from review.practice.models import PracticeSession
from review.practice.selectors import is_qualified


class NotQualified(DomainError):
    code, status = "not_qualified", 403

    def __init__(self) -> None:
        super().__init__("Pass the qualifying set before you read your first case. You find it under Practice.")


class ReadingPaused(DomainError):
    code, status = "reading_paused", 403

    def __init__(self, pause: ReadingPause) -> None:
        super().__init__(
            f"Your reading is paused: {pause.failed} of your last {pause.of} control cases were not answered as known. "
            "Cases that you have read stay. Practise, then ask an administrator to lift the pause."
        )


def may_read(reader: User) -> Q:
    """As a condition on cases: this reader is qualified and not paused. It costs no query of its own."""
    paused = ReadingPause.objects.filter(reader=reader, lifted_at__isnull=True)
    return is_qualified(reader) & ~Q(Exists(paused))


def why_not(reader: User) -> DomainError | None:
    """Why this reader gets no new cases, in words; None where nothing speaks against it."""
    if not reader.has_perm(READ):
        return None
    pause = ReadingPause.objects.filter(reader=reader, lifted_at__isnull=True).first()
    if pause is not None:
        return ReadingPaused(pause)
    if settings.REVIEW_QUALIFYING_CASES and not _has_qualified(reader):
        return NotQualified()
    return None


def _has_qualified(reader: User) -> bool:
    passed = PracticeSession.objects.filter(reader=reader, kind=PracticeSession.Kind.QUALIFYING, passed=True)
    return passed.exists() or Reading.objects.filter(reader=reader).exists()


def last_controls(reader: User) -> list[bool]:
    """Whether each of the last REVIEW_PAUSE_OF control cases was answered as known; none from before a lifted pause."""
    lifted = ReadingPause.objects.filter(reader=reader, lifted_at__isnull=False).order_by("-lifted_at").first()
    readings = Reading.objects.standing().filter(reader=reader, case__kind=ReviewCase.Kind.CONTROL)
    if lifted is not None:
        readings = readings.filter(blind_at__gt=lifted.lifted_at)
    answers = readings.order_by("-blind_at").values_list("blind_answer", "case__known_answer")
    return [answer == known for answer, known in answers[: settings.REVIEW_PAUSE_OF]]
