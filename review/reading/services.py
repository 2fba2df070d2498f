"""Every write of a reading: claim, skip, answer blind, keep or change, adjudicate, undo.

The AI's answer is shown only after a blind answer is stored, except in a marked random share of first readings
(`show_ai_first`). A user who comes too late gets a `transitions.Conflict`; nothing is overwritten.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.tokens import Credential
from predictions.answering import final_results
from predictions.answering.answers import Answer, Confidence
from review.cases import permissions
from review.cases.models import Reading, ReviewCase, ShownFirst, Skip
from review.labels.models import Label
from review.queue import claims, hidden_checks, policy
from review.reading import access, drafts, slips, transitions

KEPT = (
    "case_id", "reader_id", "blind_answer", "blind_at", "blind_seconds", "server_seconds", "pace", "ai_shown_first",
    "grade", "detail", "unsure", "confidence", "note", "viewer",
)  # fmt: skip
KEPT_FINAL = ("final_answer", "final_at", "final_seconds", "ai_shown_at")
NOTHING = Credential()  # neither a key nor a session
EXTRA_READING_WITHIN = timedelta(minutes=10)  # a blind answer is still kept this long after its case was resolved


# Claiming a case ------------------------------------------------------------------------------------------------------
def claim_next(*, reader: User) -> ReviewCase | None:
    """Claim the next case for this reader; None when there is none.

    A case this reader has claimed already (in advance, say) comes first, and costs two queries.
    """
    claimed = claims.renew_longest(reader)
    if claimed is not None:
        return claimed
    settle_abandoned()
    # The last alternative: another request of this page may have claimed the last case in advance meanwhile.
    return hidden_checks.claim_if_drawn(reader) or claims.claim_next(reader) or claims.renew_longest(reader)


def claim_ahead(*, case: ReviewCase, reader: User) -> list[ReviewCase]:
    """Claim the next cases for the reader of this one: their photos load while this one is read.

    Claims nothing once the case is answered: the page of the next case asks again.
    """
    if access.screen_for(case, reader) in (access.Screen.CLOSED, access.Screen.FINISHED):
        return []
    settle_abandoned()
    hidden_checks.claim_if_drawn(reader)
    return claims.claim_ahead(reader, case)


def claim_case(*, case: ReviewCase, reader: User) -> ReviewCase:
    """Claim this case. Raises Conflict when it is claimed, resolved, or this reader may not read it."""
    case.refresh_from_db()
    if not policy.readable(reader).filter(pk=case.pk).exists() or not claims.claim(case, reader):
        raise transitions.Conflict(transitions.closed_message(case, reader))
    case.refresh_from_db()
    return case


def skip_case(*, case: ReviewCase, reader: User, reason: str = "") -> None:
    """Give a claimed case back unread; it goes to the end of this reader's queue.

    Raises Conflict when the reader has no claim, or has stored a blind answer.
    """
    with transaction.atomic():
        if case.readings.standing().filter(reader=reader, final_answer="").exists():
            raise transitions.Conflict("Your blind answer is stored. Keep it, change it, or undo it first.")
        if not claims.release(case, reader):
            raise transitions.Conflict("Your claim on this case has ended, so there is nothing to skip.")
        Skip.objects.create(case=case, reader=reader, reason=reason[:200])


def show_ai_first(*, case: ReviewCase, reader: User) -> bool:
    """Whether this reader, who has claimed the case, sees the AI's answer before reading. If so, that is recorded."""
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
    confidence: str = "",
    note: str = "",
    viewer: dict[str, Any] | None = None,
    seconds: float | None = None,
    made_by: Credential = NOTHING,
) -> Reading:
    """Store one blind answer. It is final at once if the AI agrees or has no answer; else `show_ai` comes next.

    seconds: from showing the photo to the answer, by the reader's own clock; the server has one too, and an answer too
    fast to have looked is marked (`drafts.pace_of`). The same answer sent twice is stored once. If another reader has
    taken the case over, the answer is kept as an extra reading. Raises Conflict when the case is no longer this
    reader's.
    """
    fields: dict[str, Any] = {
        "blind_answer": answer,
        "blind_seconds": seconds,
        "unsure": unsure or confidence == Confidence.UNSURE,
        "confidence": confidence or None,
        "note": note,
        "viewer": viewer or {},
        "key": made_by.key,
        "session": made_by.session,
        **_more(answer, grade, detail),
    }
    with transaction.atomic():
        has_claim = transitions.ensure_claim(case, reader, roles=(Reading.Role.FIRST, Reading.Role.SECOND))
        others = list(case.readings.standing())
        earlier = next((each for each in others if each.reader_id == reader.pk), None)
        if earlier is not None:
            if earlier.blind_answer == answer:
                return earlier
            raise transitions.Conflict(transitions.closed_message(case, reader))
        shown_for = drafts.end(case, reader)
        fields |= {"server_seconds": shown_for, "pace": drafts.pace_of(seconds, shown_for)}
        if has_claim:
            return _store_blind_reading(case, reader, fields, others)
        return _store_extra_reading(case, reader, fields)


def _store_blind_reading(case: ReviewCase, reader: User, fields: dict[str, Any], others: Sequence[Reading]) -> Reading:
    """Store the answer of a reader who has claimed the case, and move the case on if the answer is final."""
    now = timezone.now()
    answer, decision = fields["blind_answer"], policy.ai_decision(case)
    # Shown first on purpose, or read again after undoing: the reader has seen the AI's answer, so it never trains.
    seen = slips.shown_before(case, reader)
    shown_first = seen is not None and ShownFirst.objects.filter(case=case, reader=reader).exists()
    is_final = shown_first or not policy.contradicts_ai(case, answer)
    reading = Reading.objects.create(
        case=case,
        reader=reader,
        role=transitions.ROLE_OF_STATUS[case.status],
        blind_at=now,
        ai_shown_first=seen is not None,
        ai_shown_at=seen.at if seen is not None else None,
        final_answer=answer if is_final else "",
        final_at=now if is_final else None,
        **fields,
    )
    record(Act.READ, about=reading, user=reader, columns=KEPT, case=str(case.pk), role=reading.role)
    if is_final:
        if decision:  # that the AI agrees is shown as well
            transitions.disclose(case, reader)
        transitions.advance(case, reading, others)
    return reading


def _store_extra_reading(case: ReviewCase, reader: User, fields: dict[str, Any]) -> Reading:
    """Keep the blind answer of a reader whose claim passed to another: no work is lost.

    It becomes the second reading when one is needed, or when it differs from the first. Raises Conflict for a reader
    who could not have read the case blind, and `EXTRA_READING_WITHIN` after the case was resolved.
    """
    ReviewCase.objects.filter(pk=case.pk).update(status=F("status"))  # locks the row: the other answer is in, or waits
    case.refresh_from_db()
    now = timezone.now()
    accepts = Q(status__in=ReviewCase.OPEN) | Q(resolved_at__gte=now - EXTRA_READING_WITHIN)
    was_taken_back = case.readings.filter(reader=reader, taken_back_by__isnull=False).exists()
    may_read = reader.has_perm(permissions.READ) and not was_taken_back and not policy.has_seen(case, reader)
    if not may_read or not ReviewCase.objects.filter(accepts, pk=case.pk, kind=ReviewCase.Kind.CASE).exists():
        raise transitions.Conflict(transitions.closed_message(case, reader))
    reading = Reading.objects.create(
        case=case,
        reader=reader,
        role=Reading.Role.EXTRA,
        blind_at=now,
        final_answer=fields["blind_answer"],
        final_at=now,
        **fields,
    )
    record(Act.READ, about=reading, user=reader, columns=(*KEPT, *KEPT_FINAL), case=str(case.pk), role=reading.role)
    was_read_again = case.readings.standing().filter(role__in=transitions.LATER_ROLES[Reading.Role.FIRST]).exists()
    label = Label.objects.standing().filter(case=case).first()
    is_read_once = case.status == ReviewCase.Status.RESOLVED and not was_read_again
    if is_read_once and label is not None and label.answer != reading.final_answer:
        Label.objects.filter(pk=label.pk).update(superseded_at=now)
        ReviewCase.objects.filter(pk=case.pk).move(ReviewCase.Status.SECOND, resolved_at=None)
        final_results.take_back(image=case.image)
        transitions.take_as_second(case, reading)
    return reading


def show_ai(*, reading: Reading) -> Reading:
    """Record that the author of this blind answer is now shown the AI's. A repeated call changes nothing."""
    waiting = Reading.objects.standing().filter(pk=reading.pk, final_answer="", ai_shown_at__isnull=True)
    if waiting.update(ai_shown_at=timezone.now()):
        reading.refresh_from_db(fields=["ai_shown_at"])
        transitions.disclose(reading.case, reading.reader)
    return reading


def store_final_answer(*, reading: Reading, answer: str, seconds: float | None = None) -> Reading:
    """Store the answer after the AI's was shown: the same or another one.

    The same final answer sent twice is stored once. Raises Conflict for a different one, or after an undo.
    """
    with transaction.atomic():
        return _finish(show_ai(reading=reading), answer, seconds)


def _finish(reading: Reading, answer: str, seconds: float | None = None) -> Reading:
    """Make a blind answer final, whether or not its author was shown the AI's. Call it in a transaction."""
    pending = Reading.objects.standing().filter(pk=reading.pk, final_answer="")
    stored = pending.update(final_answer=answer, final_at=timezone.now(), final_seconds=seconds)
    reading.refresh_from_db()
    if stored:
        case = str(reading.case_id)
        record(Act.READ_FINAL, about=reading, user=reading.reader, columns=KEPT_FINAL, case=case)
        transitions.disclose(reading.case, reading.reader)
        transitions.advance(reading.case, reading)
    elif reading.final_answer != answer or reading.retracted_at:
        raise transitions.Conflict("Your answer is final already. Undo it to answer again.")
    return reading


def adjudicate(
    *,
    case: ReviewCase,
    adjudicator: User,
    answer: str,
    reason: str,
    viewer: dict[str, Any] | None = None,
    made_by: Credential = NOTHING,
) -> Reading:
    """Decide between two readers who differ. The adjudicator is neither of them and does not see the AI's answer.

    Raises PermissionDenied without the permission, ValueError without a reason, Conflict when the case is not theirs.
    """
    if not adjudicator.has_perm(permissions.ADJUDICATE):
        raise PermissionDenied("Only adjudicators can adjudicate.")
    if not reason.strip():
        raise ValueError("An adjudication needs a reason.")
    with transaction.atomic():
        if not transitions.ensure_claim(case, adjudicator, roles=(Reading.Role.ADJUDICATOR,)):
            raise transitions.Conflict(transitions.closed_message(case, adjudicator))
        drafts.end(case, adjudicator)
        return decide(case=case, adjudicator=adjudicator, answer=answer, reason=reason, viewer=viewer, made_by=made_by)


def decide(
    *,
    case: ReviewCase,
    adjudicator: User,
    answer: str,
    reason: str,
    grade: str = "",
    detail: str = "",
    viewer: dict[str, Any] | None = None,
    made_by: Credential = NOTHING,
) -> Reading:
    """Store an adjudicator's answer to a case that waits for it, and resolve the case. Call it in a transaction."""
    now = timezone.now()
    seen = transitions.first_disclosure(case, adjudicator)
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
        key=made_by.key,
        session=made_by.session,
        **_more(answer, grade, detail),
    )
    kept = (*KEPT, *KEPT_FINAL)
    record(Act.READ, about=reading, user=adjudicator, columns=kept, case=str(case.pk), role=reading.role)
    transitions.advance(case, reading)
    return reading


def _more(answer: str, grade: str, detail: str) -> dict[str, str]:
    """The grade and the detail, each only with the answers that it belongs to."""
    return {
        "grade": grade if answer == Answer.CATARACT else "",
        "detail": detail if answer in (Answer.UNGRADABLE, Answer.OTHER) else "",
    }


# Undoing and settling -------------------------------------------------------------------------------------------------
def undo_reading(*, reading: Reading, reader: User) -> ReviewCase:
    """Retract one's own last answer: the case reopens, claimed by this reader, and its label no longer stands.

    Raises PermissionDenied for another reader's answer, Conflict when a later reader has begun.
    """
    if reading.reader_id != reader.pk:
        raise PermissionDenied("You can only undo your own answers.")
    with transaction.atomic():
        case = reading.case
        case.refresh_from_db()
        if reading.role == Reading.Role.EXTRA:
            _retract(reading)
            return case
        if not reading.final_answer and not slips.is_slip(reading):  # else it is recorded as shown already
            transitions.disclose(case, reader)
        if not _reopen(case, reading, reader):
            raise transitions.Conflict("Another reader has begun this case, so your answer can no longer be undone.")
        _retract(reading)
        if Label.objects.standing().filter(case=case).update(superseded_at=timezone.now()):
            final_results.take_back(image=case.image)
        else:
            final_results.take_back_provisional(image=case.image)
        drafts.show_again(case, reader)
        case.refresh_from_db()
    return case


def _reopen(case: ReviewCase, reading: Reading, reader: User) -> bool:
    """Move the case back to the status of this reading, claimed by its reader; False when a later reader has begun."""
    back_to = transitions.status_before(case, reading)
    rows = ReviewCase.objects.filter(claims.is_unclaimed() | Q(claimed_by=reader), pk=case.pk, status=case.status)
    lease = {"claimed_by": reader, "lease_until": claims.lease_end()}
    is_open = case.status == back_to  # the AI's answer is shown and the final answer is still due
    reopened = rows.update(**lease) if is_open else rows.move(back_to, resolved_at=None, **lease)
    later = transitions.LATER_ROLES[reading.role]
    return bool(reopened) and not case.readings.standing().filter(role__in=later).exists()


def _retract(reading: Reading) -> None:
    if not Reading.objects.standing().filter(pk=reading.pk).update(retracted_at=timezone.now()):
        raise transitions.Conflict("This answer is undone already.")
    record(Act.READING_UNDONE, about=reading, user=reading.reader, case=str(reading.case_id))


def settle_abandoned() -> int:
    """Make the blind answers of readers who left after the AI was shown final; returns how many."""
    still_reading = Q(case__claimed_by=F("reader"), case__lease_until__gt=timezone.now())
    pending = Reading.objects.standing().filter(~still_reading, final_answer="")
    abandoned = list(pending.select_related("case__prediction"))
    for reading in abandoned:
        with transaction.atomic():
            _finish(reading, reading.blind_answer)
    return len(abandoned)
