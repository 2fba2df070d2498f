"""Every write of the review: claim, answer blind, keep or change, undo, adjudicate, and the label that follows.

The server decides what a reader sees: the AI's answer leaves only after a blind answer is stored. Whoever comes too
late gets a `Conflict` whose text is for that person; nothing is overwritten.
"""

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.formats import time_format

from predictions.errors import DomainError
from predictions.models import Disclosure, Prediction
from review import controls, queue
from review.models import Answer, Label, Reading, ReviewCase, ShownFirst, Skip

ROLE_OF_STATUS = {"first": Reading.Role.FIRST, "second": Reading.Role.SECOND, "adjudication": Reading.Role.ADJUDICATOR}
STATUS_OF_ROLE = {role: status for status, role in ROLE_OF_STATUS.items()}
# What is known better replaces what is known worse, never the other way round.
RANK = {"after_ai": 0, "imported": 1, "blind": 2, "adjudicated": 3}


class Conflict(DomainError):
    """The case has moved on since this person last saw it; the message says to the person what happened."""

    code = "case_moved_on"
    status = 409


# Taking a case --------------------------------------------------------------------------------------------------------
def claim_next(*, reader: User) -> ReviewCase | None:
    """Hold the next case for this person, or return None when nothing is free for them."""
    settle_abandoned()
    controls.plant(reader)
    return queue.claim_next(reader)


def claim_case(*, case: ReviewCase, reader: User) -> ReviewCase:
    """Hold this very case. Raises Conflict when it is held, finished, or not this person's to read."""
    case.refresh_from_db()
    if not queue.readable(reader).filter(pk=case.pk).exists() or not queue.claim(case, reader):
        raise Conflict(why_closed(case, reader))
    case.refresh_from_db()
    return case


def why_closed(case: ReviewCase, reader: User) -> str:
    """One sentence for a person who cannot read this case now; says nothing of the AI's answer."""
    if case.status not in ReviewCase.OPEN:
        return "This case is finished: it needs no further reading."
    if case.lease_until and case.lease_until > timezone.now() and case.claimed_by_id != reader.pk:
        until = time_format(timezone.localtime(case.lease_until))
        return f"Another reader holds this case until {until}."
    if case.readings.filter(reader=reader, retracted_at__isnull=True).exists():
        return "You have read this case; it now waits for another person."
    if case.status == ReviewCase.Status.ADJUDICATION:
        return "This case waits for an adjudicator."
    return "This case needs a reader who has not seen the photo's result before."


def skip_case(*, case: ReviewCase, reader: User, reason: str = "") -> None:
    """Put a held case back unread; it comes to this reader again after all others. Raises Conflict if not held."""
    with transaction.atomic():
        if _pending(case, reader) is not None:
            raise Conflict("Your blind answer is stored: keep it or change it, or undo it first.")
        if not queue.release(case, reader):
            raise Conflict("You no longer hold this case, so there is nothing to skip.")
        Skip.objects.create(case=case, reader=reader, reason=reason[:200])


def request_review(*, prediction: Prediction) -> ReviewCase:
    """Send a prediction to people by hand. Its existing case is returned unchanged."""
    case = queue.new_case(prediction, reasons=["requested"])
    case.review_propensity = 1.0
    ReviewCase.objects.bulk_create([case], ignore_conflicts=True)
    opened: ReviewCase = ReviewCase.objects.get(prediction=prediction)
    return opened


def show_ai_first(*, case: ReviewCase, reader: User) -> bool:
    """Whether the AI's answer is shown to this holder before the reading; where it is, that is written down first."""
    if not queue.shows_ai_first(case, reader):
        return False
    ShownFirst.objects.get_or_create(case=case, reader=reader)
    _disclose(case, reader)
    return True


def _disclose(case: ReviewCase, reader: User) -> None:
    Disclosure.objects.get_or_create(prediction=case.prediction, user=reader, defaults={"image_id": case.image_id})


# Answering ------------------------------------------------------------------------------------------------------------
def store_blind_answer(
    *,
    case: ReviewCase,
    reader: User,
    answer: str,
    grade: str = "",
    detail: str = "",
    unsure: bool = False,
    note: str = "",
    viewer: dict[str, Any] | None = None,
    seconds: float | None = None,
) -> Reading:
    """Store one blind answer. Where the AI agrees (or has no answer) it is final at once; else the AI is now shown.

    The same answer sent twice is stored once. Raises Conflict when the case is not this reader's any more.
    """
    with transaction.atomic():
        held = _hold(case, reader, roles=(Reading.Role.FIRST, Reading.Role.SECOND))
        earlier = _standing(case).filter(reader=reader).first()
        if earlier is not None and earlier.blind_answer == answer:
            return earlier
        if earlier is not None or not held:
            raise Conflict(why_closed(case, reader))
        now = timezone.now()
        decision = queue.opinion(case)
        seen = Disclosure.objects.filter(image=case.image_id, user=reader).order_by("at").first()
        shown_first = seen is not None and ShownFirst.objects.filter(case=case, reader=reader).exists()
        is_final = shown_first or not queue.contradicts(answer, decision)
        reading = Reading.objects.create(
            case=case,
            reader=reader,
            role=ROLE_OF_STATUS[case.status],
            blind_answer=answer,
            blind_at=now,
            blind_seconds=seconds,
            # Shown on purpose, or read again after undoing: the person has seen the AI's answer, so it never trains.
            ai_shown_first=seen is not None,
            ai_shown_at=seen.at if seen is not None else None if is_final else now,
            final_answer=answer if is_final else "",
            final_at=now if is_final else None,
            grade=grade if answer == Answer.CATARACT else "",
            detail=detail if answer in (Answer.UNGRADABLE, Answer.OTHER) else "",
            unsure=unsure,
            note=note,
            viewer=viewer or {},
        )
        if decision:  # that it agrees is told as well
            _disclose(case, reader)
        if is_final:
            _advance(case, reading)
    return reading


def store_final_answer(*, reading: Reading, answer: str, seconds: float | None = None) -> Reading:
    """Store what the reader says after the AI was shown: the same again, or another answer. Once only."""
    with transaction.atomic():
        pending = Reading.objects.filter(pk=reading.pk, final_answer="", retracted_at__isnull=True)
        stored = pending.update(final_answer=answer, final_at=timezone.now(), final_seconds=seconds)
        reading.refresh_from_db()
        if stored:
            _advance(reading.case, reading)
        elif reading.final_answer != answer or reading.retracted_at:
            raise Conflict("This answer was already settled. Undo it if you want to answer again.")
    return reading


def adjudicate(
    *, case: ReviewCase, adjudicator: User, answer: str, reason: str, viewer: dict[str, Any] | None = None
) -> Reading:
    """Decide between two readers who differ. The adjudicator is neither of them and is not shown the AI's answer."""
    if not adjudicator.has_perm(queue.ADJUDICATE):
        raise PermissionDenied("Adjudicating needs the role of adjudicator.")
    if not reason.strip():
        raise ValueError("An adjudication needs a reason.")
    with transaction.atomic():
        held = _hold(case, adjudicator, roles=(Reading.Role.ADJUDICATOR,))
        if not held:
            raise Conflict(why_closed(case, adjudicator))
        now = timezone.now()
        seen = Disclosure.objects.filter(image=case.image_id, user=adjudicator).order_by("at").first()
        reading = Reading.objects.create(
            case=case,
            reader=adjudicator,
            role=Reading.Role.ADJUDICATOR,
            blind_answer=answer,
            blind_at=now,
            ai_shown_first=seen is not None,
            ai_shown_at=seen.at if seen is not None else None,
            final_answer=answer,
            final_at=now,
            note=reason.strip(),
            viewer=viewer or {},
        )
        _advance(case, reading)
    return reading


def undo_reading(*, reading: Reading, reader: User) -> ReviewCase:
    """Retract one's own last answer on a case: it reopens and is held by this reader; its label no longer stands.

    Raises Conflict when somebody has read the case since, or is reading it.
    """
    if reading.reader_id != reader.pk:
        raise PermissionDenied("Only your own answers can be undone.")
    with transaction.atomic():
        case = reading.case
        case.refresh_from_db()
        back_to = STATUS_OF_ROLE[Reading.Role(reading.role)]
        mine = ReviewCase.objects.filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=timezone.now()) | Q(claimed_by=reader), pk=case.pk
        )
        lease = {"claimed_by": reader, "lease_until": queue.lease_end()}
        if case.status == back_to:  # the AI is shown and the final answer is still open
            held = mine.filter(status=back_to).update(**lease)
        else:
            held = mine.filter(status=case.status).move(back_to, resolved_at=None, **lease)
        later = _standing(case).exclude(pk=reading.pk).filter(blind_at__gte=reading.blind_at).exists()
        if not held or later:
            raise Conflict("Another reader has begun since: this answer can no longer be undone.")
        retracted = Reading.objects.filter(pk=reading.pk, retracted_at__isnull=True).update(retracted_at=timezone.now())
        if not retracted:
            raise Conflict("This answer was undone already.")
        Label.objects.standing().filter(case=case).update(superseded_at=timezone.now())
        case.refresh_from_db()
    return case


def settle_abandoned() -> int:
    """Keep the blind answer of readers who left after the AI was shown: it is what they last said. Returns how many."""
    left = Reading.objects.filter(final_answer="", retracted_at__isnull=True).exclude(
        case__claimed_by=F("reader"), case__lease_until__gt=timezone.now()
    )
    for reading in left.select_related("case__prediction"):
        store_final_answer(reading=reading, answer=reading.blind_answer)
    return len(left)


# The machine ----------------------------------------------------------------------------------------------------------
def _standing(case: ReviewCase) -> QuerySet[Reading]:
    return Reading.objects.filter(case=case, retracted_at__isnull=True)


def _pending(case: ReviewCase, reader: User) -> Reading | None:
    return _standing(case).filter(reader=reader, final_answer="").first()


def _hold(case: ReviewCase, reader: User, *, roles: tuple[str, ...]) -> bool:
    """Make sure that this reader holds the case for one of these roles, taking it again where it is still free."""
    statuses = [STATUS_OF_ROLE[Reading.Role(role)] for role in roles]
    held = queue.held_by(reader).filter(pk=case.pk, status__in=statuses).update(lease_until=queue.lease_end())
    case.refresh_from_db()
    if held:
        return True
    free = case.status in statuses and queue.readable(reader).filter(pk=case.pk).exists()
    return free and queue.claim(case, reader)


def _advance(case: ReviewCase, reading: Reading) -> None:
    """Move a case on after a finished reading. Raises Conflict when it is no longer where the reading belongs."""
    case.refresh_from_db()
    readings = list(_standing(case).order_by("blind_at"))
    answers = {each.final_answer for each in readings}
    to = ReviewCase.Status.RESOLVED
    counts = case.kind == ReviewCase.Kind.CASE  # the others measure a reader: one answer, and no label
    if counts and reading.role == Reading.Role.FIRST and queue.wants_second(case, reading):
        to = ReviewCase.Status.SECOND
    elif reading.role == Reading.Role.SECOND and len(answers) > 1:
        to = ReviewCase.Status.ADJUDICATION
    values: dict[str, Any] = {"claimed_by": None, "lease_until": None}
    if to == ReviewCase.Status.RESOLVED:
        values["resolved_at"] = timezone.now()
    status = STATUS_OF_ROLE[Reading.Role(reading.role)]
    if not ReviewCase.objects.filter(pk=case.pk, status=status).move(to, **values):
        raise Conflict("This case has moved on since; your answer was not stored.")
    if counts and to == ReviewCase.Status.RESOLVED:
        make_label(case=case, readings=readings, answer=reading.final_answer)
    case.refresh_from_db()


def make_label(*, case: ReviewCase, readings: list[Reading], answer: str) -> Label:
    """Store the truth that these readings make, in place of what stood before and was known worse.

    Blind: every reader said it before seeing the AI. Adjudicated: a third person decided, who trains the next models
    only if that person had not seen the AI's answer. After AI: the rest, which never trains.
    """
    judge = next((each for each in readings if each.role == Reading.Role.ADJUDICATOR), None)
    blind = all(each.blind_answer == each.final_answer and not each.ai_shown_first for each in readings)
    provenance = Label.Provenance.BLIND if blind else Label.Provenance.AFTER_AI
    if judge is not None:
        provenance = Label.Provenance.ADJUDICATED
    with transaction.atomic():
        standing = Label.objects.standing().filter(image=case.image_id).first()
        if standing is not None and RANK[standing.provenance] > RANK[provenance]:
            return standing
        now = timezone.now()
        if standing is not None:
            Label.objects.filter(pk=standing.pk).update(superseded_at=now)
        label = Label.objects.create(
            image_id=case.image_id,
            answer=answer,
            provenance=provenance,
            may_train=not judge.ai_shown_first if judge is not None else blind,
            case=case,
            weight=1 / case.review_propensity,
            supersedes=Label.objects.filter(image=case.image_id, superseded_by__isnull=True)
            .order_by("-created_at")
            .first(),
            created_at=now,
        )
        label.readings.set(readings)
    return label
