"""Practise, take the qualifying set, choose practice cases, write the instructions. None of it makes a label."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cataract.core.errors import DomainError
from cataract.ml.statistics.draws import fraction
from predictions.answering.disclosures import record_shown
from review.cases.models import ReviewCase
from review.practice import drawings, selectors
from review.practice.models import Instructions, PracticeCase, PracticeItem, PracticeSession

LENGTH = 10  # questions of a practice session
Kind = PracticeSession.Kind


class NotAskedFor(DomainError):
    code, status = "qualifying_not_asked_for", 409

    def __init__(self) -> None:
        super().__init__("This installation asks for no qualifying set. You can read cases at once.")


class NotSuitable(DomainError):
    code, status = "not_suitable_for_practice", 409

    def __init__(self) -> None:
        super().__init__("This case cannot be used for practice any more. Reload the page.")


def start_session(*, reader: User, kind: str) -> PracticeSession:
    """Start a session of this kind, or go on with the one that is running. Raises NotAskedFor.

    Chosen cases come first, unseen ones before others; drawn eyes fill what is missing.
    """
    if kind == Kind.QUALIFYING and not settings.REVIEW_QUALIFYING_CASES:
        raise NotAskedFor
    running = PracticeSession.objects.filter(reader=reader, kind=kind, finished_at__isnull=True)
    with transaction.atomic():
        session, is_new = running.get_or_create(
            reader=reader, kind=kind, finished_at=None, defaults={"pass_mark": settings.REVIEW_PASS_MARK}
        )
        if is_new:
            PracticeItem.objects.bulk_create(_items(session))
    return session


def _items(session: PracticeSession) -> list[PracticeItem]:
    is_qualifying = session.kind == Kind.QUALIFYING
    length = settings.REVIEW_QUALIFYING_CASES if is_qualifying else LENGTH
    unseen = selectors.answers_of(selectors.chosen_for(session.reader, unseen=True))
    seen = [] if is_qualifying else selectors.answers_of(selectors.chosen_for(session.reader, unseen=False))
    cases = _shuffled(session, unseen) + _shuffled(session, [row for row in seen if row not in unseen])
    items = [PracticeItem(session=session, case_id=case, expected=answer) for case, answer in cases[:length]]
    first = int(fraction(f"drawing:{session.pk}") * 1_000_000)
    for seed in range(first, first + length - len(items)):
        items.append(PracticeItem(session=session, drawing=seed, expected=drawings.answer_of(seed)))
    items.sort(key=lambda item: fraction(f"place:{session.pk}:{item.case_id}:{item.drawing}"))
    for number, item in enumerate(items, 1):
        item.number = number
    return items


def _shuffled(session: PracticeSession, rows: list[tuple[UUID, str]]) -> list[tuple[UUID, str]]:
    return sorted(rows, key=lambda row: fraction(f"{session.pk}:{row[0]}"))


def next_item(session: PracticeSession) -> PracticeItem | None:
    """The first question without an answer that can still be asked; None when the session is over."""
    return next((item for item in session.items.filter(answer="") if _can_be_asked(item)), None)


def _can_be_asked(item: PracticeItem) -> bool:
    """Whether the case of a question is still suitable, and its answer is still the one that counts as right."""
    if item.case_id is None:
        return True
    return (item.case_id, item.expected) in selectors.answers_of(selectors.suitable().filter(pk=item.case_id))


def answer_item(*, item: PracticeItem, answer: str) -> PracticeItem:
    """Store an answer, once: the first one counts. Practice then shows what is right, and that is recorded.

    Raises NotSuitable when the case waits for readers again, or its answer was amended.
    """
    if not item.answer and not _can_be_asked(item):
        raise NotSuitable
    with transaction.atomic():
        PracticeItem.objects.filter(pk=item.pk, answer="").update(answer=answer, answered_at=timezone.now())
        item.refresh_from_db()
        session = item.session
        if session.kind == Kind.PRACTICE and item.case is not None and item.case.prediction is not None:
            record_shown(predictions=[item.case.prediction], user=session.reader)
        if next_item(session) is None:
            _finish(session)
    return item


def _finish(session: PracticeSession) -> None:
    answered = list(session.items.exclude(answer=""))
    right, asked = sum(item.is_right for item in answered), len(answered)
    passed = bool(asked) and right >= session.pass_mark * asked
    result = {"right": right, "asked": asked, "passed": passed, "finished_at": timezone.now()}
    PracticeSession.objects.filter(pk=session.pk, finished_at__isnull=True).update(**result)
    session.refresh_from_db()


# What admins do -------------------------------------------------------------------------------------------------------
def choose_case(*, case: ReviewCase, user: User) -> PracticeCase:
    """Let readers practise on this case. Raises NotSuitable when it is not settled, or its photo judges releases."""
    if not selectors.suitable().filter(pk=case.pk).exists():
        raise NotSuitable
    return PracticeCase.objects.get_or_create(case=case, defaults={"added_by": user})[0]


def take_out(*, case: ReviewCase) -> None:
    """Take a case out of practice. Sessions that hold it keep it."""
    PracticeCase.objects.filter(case=case).delete()


def write_instructions(*, text: str, user: User) -> Instructions:
    """Make this text the instructions; the earlier ones stay on record."""
    return Instructions.objects.create(text=text, by=user)
