"""Every write of the review: claim, answer blind, keep or change, undo, adjudicate.

The server decides what a reader sees: the AI's answer leaves only after a blind answer is stored. Whoever comes too
late gets a `machine.Conflict` whose text is for that person; nothing is overwritten.
"""

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from predictions.answering.models import Disclosure
from review.cases import permissions
from review.cases.answers import Answer
from review.cases.models import Reading, ReviewCase, ShownFirst, Skip
from review.labels.models import Label
from review.queue import access, claims, controls, policy
from review.reading import transitions


# Taking a case --------------------------------------------------------------------------------------------------------
def claim_next(*, reader: User) -> ReviewCase | None:
    """Hold the next case for this person, or return None when nothing is free for them.

    What this person holds already (kept ahead by the page, say) comes first, and costs two queries.
    """
    held = claims.claim_held(reader)
    if held is not None:
        return held
    settle_abandoned()
    # The last: what the page's look-ahead has taken for this person since, so that nothing else was free.
    return controls.plant(reader) or claims.claim_free(reader) or claims.claim_held(reader)


def claim_ahead(*, case: ReviewCase, reader: User) -> list[ReviewCase]:
    """Keep the next cases for the holder of this one, so that their photos are fetched while this one is read.

    Nothing for a page that asks too late, when its case has been answered: the page of the next case asks itself.
    """
    if access.step(case, reader) in ("closed", "finished"):
        return []
    settle_abandoned()
    controls.plant(reader)
    return claims.claim_ahead(reader, case)


def claim_case(*, case: ReviewCase, reader: User) -> ReviewCase:
    """Hold this very case. Raises Conflict when it is held, finished, or not this person's to read."""
    case.refresh_from_db()
    if not policy.readable(reader).filter(pk=case.pk).exists() or not claims.claim(case, reader):
        raise transitions.Conflict(transitions.why_closed(case, reader))
    case.refresh_from_db()
    return case


def skip_case(*, case: ReviewCase, reader: User, reason: str = "") -> None:
    """Put a held case back unread; it comes to this reader again after all others. Raises Conflict if not held."""
    with transaction.atomic():
        if transitions.pending(case, reader) is not None:
            raise transitions.Conflict("Your blind answer is stored: keep it or change it, or undo it first.")
        if not claims.release(case, reader):
            raise transitions.Conflict("You no longer hold this case, so there is nothing to skip.")
        Skip.objects.create(case=case, reader=reader, reason=reason[:200])


def show_ai_first(*, case: ReviewCase, reader: User) -> bool:
    """Whether the AI's answer is shown to this holder before the reading; where it is, that is written down first."""
    if not policy.shows_ai_first(case, reader):
        return False
    ShownFirst.objects.get_or_create(case=case, reader=reader)
    transitions.disclose(case, reader)
    return True


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
    said: dict[str, Any] = {
        "blind_answer": answer,
        "blind_seconds": seconds,
        "grade": grade if answer == Answer.CATARACT else "",
        "detail": detail if answer in (Answer.UNGRADABLE, Answer.OTHER) else "",
        "unsure": unsure,
        "note": note,
        "viewer": viewer or {},
    }
    with transaction.atomic():
        held = transitions.hold(case, reader, roles=(Reading.Role.FIRST, Reading.Role.SECOND))
        others = list(transitions.standing(case))
        earlier = next((each for each in others if each.reader_id == reader.pk), None)
        if earlier is not None and earlier.blind_answer == answer:
            return earlier
        if earlier is not None:
            raise transitions.Conflict(transitions.why_closed(case, reader))
        if not held:
            return _keep_beside(case, reader, said)
        now = timezone.now()
        decision = policy.opinion(case)
        seen = Disclosure.objects.filter(image=case.image_id, user=reader).order_by("at").first()
        shown_first = seen is not None and ShownFirst.objects.filter(case=case, reader=reader).exists()
        is_final = shown_first or not policy.contradicts(answer, decision)
        reading = Reading.objects.create(
            case=case,
            reader=reader,
            role=transitions.ROLE_OF_STATUS[case.status],
            blind_at=now,
            # Shown on purpose, or read again after undoing: the person has seen the AI's answer, so it never trains.
            ai_shown_first=seen is not None,
            ai_shown_at=seen.at if seen is not None else None if is_final else now,
            final_answer=answer if is_final else "",
            final_at=now if is_final else None,
            **said,
        )
        if decision:  # that it agrees is told as well
            transitions.disclose(case, reader)
        if is_final:
            transitions.advance(case, reading, others)
    return reading


def _keep_beside(case: ReviewCase, reader: User, said: dict[str, Any]) -> Reading:
    """Keep the blind answer of one whom another reader overtook, as a second opinion: no work is lost.

    It becomes the second reading as soon as one is asked for, or when it differs from the first. Raises Conflict for
    whoever could not have read the case blind, and long after the case was closed.
    """
    ReviewCase.objects.filter(pk=case.pk).update(status=F("status"))  # takes the row: the other answer is in, or waits
    case.refresh_from_db()
    overtaken = Q(status__in=ReviewCase.OPEN) | Q(resolved_at__gte=timezone.now() - policy.LATE)
    may_read = reader.has_perm(permissions.READ) and not policy.has_seen(case, reader)
    if not may_read or not ReviewCase.objects.filter(overtaken, pk=case.pk, kind=ReviewCase.Kind.CASE).exists():
        raise transitions.Conflict(transitions.why_closed(case, reader))
    now = timezone.now()
    reading = Reading.objects.create(
        case=case,
        reader=reader,
        role=Reading.Role.EXTRA,
        blind_at=now,
        final_answer=said["blind_answer"],
        final_at=now,
        **said,
    )
    second = transitions.standing(case).filter(role=Reading.Role.SECOND)
    read_once = case.status == ReviewCase.Status.RESOLVED and not second.exists()
    label = Label.objects.standing().filter(case=case).first()
    if read_once and label is not None and label.answer != reading.final_answer:
        Label.objects.filter(pk=label.pk).update(superseded_at=now)
        ReviewCase.objects.filter(pk=case.pk).move(ReviewCase.Status.SECOND, resolved_at=None)
        transitions.take_as_second(case, reading)
    return reading


def store_final_answer(*, reading: Reading, answer: str, seconds: float | None = None) -> Reading:
    """Store what the reader says after the AI was shown: the same again, or another answer. Once only."""
    with transaction.atomic():
        pending = Reading.objects.filter(pk=reading.pk, final_answer="", retracted_at__isnull=True)
        stored = pending.update(final_answer=answer, final_at=timezone.now(), final_seconds=seconds)
        reading.refresh_from_db()
        if stored:
            transitions.advance(reading.case, reading)
        elif reading.final_answer != answer or reading.retracted_at:
            raise transitions.Conflict("This answer was already settled. Undo it if you want to answer again.")
    return reading


def adjudicate(
    *, case: ReviewCase, adjudicator: User, answer: str, reason: str, viewer: dict[str, Any] | None = None
) -> Reading:
    """Decide between two readers who differ. The adjudicator is neither of them and is not shown the AI's answer."""
    if not adjudicator.has_perm(permissions.ADJUDICATE):
        raise PermissionDenied("Adjudicating needs the role of adjudicator.")
    if not reason.strip():
        raise ValueError("An adjudication needs a reason.")
    with transaction.atomic():
        held = transitions.hold(case, adjudicator, roles=(Reading.Role.ADJUDICATOR,))
        if not held:
            raise transitions.Conflict(transitions.why_closed(case, adjudicator))
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
        transitions.advance(case, reading)
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
        if reading.role == Reading.Role.EXTRA:
            _retract(reading)
            return case
        back_to = transitions.STATUS_OF_ROLE[Reading.Role(reading.role)]
        mine = ReviewCase.objects.filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=timezone.now()) | Q(claimed_by=reader), pk=case.pk
        )
        lease = {"claimed_by": reader, "lease_until": claims.lease_end()}
        if case.status == back_to:  # the AI is shown and the final answer is still open
            held = mine.filter(status=back_to).update(**lease)
        else:
            held = mine.filter(status=case.status).move(back_to, resolved_at=None, **lease)
        later = transitions.standing(case).filter(role__in=transitions.AFTER[reading.role]).exists()
        if not held or later:
            raise transitions.Conflict("Another reader has begun since: this answer can no longer be undone.")
        _retract(reading)
        Label.objects.standing().filter(case=case).update(superseded_at=timezone.now())
        case.refresh_from_db()
    return case


def _retract(reading: Reading) -> None:
    standing = Reading.objects.filter(pk=reading.pk, retracted_at__isnull=True)
    if not standing.update(retracted_at=timezone.now()):
        raise transitions.Conflict("This answer was undone already.")


def settle_abandoned() -> int:
    """Keep the blind answer of readers who left after the AI was shown: it is what they last said. Returns how many."""
    left = Reading.objects.filter(final_answer="", retracted_at__isnull=True).exclude(
        case__claimed_by=F("reader"), case__lease_until__gt=timezone.now()
    )
    for reading in left.select_related("case__prediction"):
        store_final_answer(reading=reading, answer=reading.blind_answer)
    return len(left)
