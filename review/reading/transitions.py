"""The state machine of a case: who may act in which status, and where a finished reading moves it.

first -> resolved, or first -> second -> resolved, or first -> second -> adjudication -> resolved. Undoing an answer
moves one step back; `amendments` changes or reopens what is resolved. A case that nobody has answered is withdrawn when
a retake replaces its photo (review/queue/withdrawal.py).
"""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db.models import UUIDField, Value
from django.utils import timezone

from cataract.core.errors import DomainError
from predictions.answering import final_results
from predictions.answering.disclosures import record_shown
from predictions.answering.models import Disclosure, FinalResult
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.labels.services import make_label
from review.pauses.services import pause_if_due
from review.queue import claims, policy

ROLE_OF_STATUS: dict[str, Reading.Role] = {
    ReviewCase.Status.FIRST: Reading.Role.FIRST,
    ReviewCase.Status.SECOND: Reading.Role.SECOND,
    ReviewCase.Status.ADJUDICATION: Reading.Role.ADJUDICATOR,
}
STATUS_OF_ROLE = {role: status for status, role in ROLE_OF_STATUS.items()}
LATER_ROLES: dict[str, list[Reading.Role]] = {
    Reading.Role.FIRST: [Reading.Role.SECOND, Reading.Role.ADJUDICATOR],
    Reading.Role.SECOND: [Reading.Role.ADJUDICATOR],
    Reading.Role.ADJUDICATOR: [],
}


class Conflict(DomainError):
    """The case has changed since this user last saw it. The message is written for that user."""

    code = "case_moved_on"
    status = 409


def closed_message(case: ReviewCase, user: User) -> str:
    """Why this user cannot read the case now, in one sentence that says nothing about the AI's answer."""
    if case.status == ReviewCase.Status.WITHDRAWN:
        return "This case was withdrawn and needs no reading."
    if case.status not in ReviewCase.OPEN:
        return "This case is resolved and needs no further reading."
    if case.lease_until and case.lease_until > timezone.now() and case.claimed_by_id != user.pk:
        return f"Another reader has claimed this case until {timezone.localtime(case.lease_until):%H:%M}."
    if case.readings.standing().filter(reader=user).exists():
        return "You have read this case. It is waiting for another reader."
    if case.status == ReviewCase.Status.ADJUDICATION:
        return "This case is waiting for an adjudicator."
    return "This case needs a reader who has not seen the photo's result."


def first_disclosure(case: ReviewCase, user: User) -> Disclosure | None:
    """When this user was first shown an answer on this photo, or on another one of the same eye."""
    of = case.image
    photos = EyeImage.objects.same_eye_as(
        cluster=Value(of.cluster_id), patient=Value(of.patient_id, UUIDField()), eye=Value(of.eye)
    )
    return Disclosure.objects.filter(image__in=photos, user=user).order_by("at").first()


def status_before(case: ReviewCase, reading: Reading) -> ReviewCase.Status:
    """The status in which a case waited for this reading.

    An adjudicator may have amended a case that was read once: such a case waits for its second reader instead.
    """
    status = ReviewCase.Status(STATUS_OF_ROLE[Reading.Role(reading.role)])
    is_adjudicated = status == ReviewCase.Status.ADJUDICATION
    if is_adjudicated and not case.readings.standing().filter(role=Reading.Role.SECOND).exists():
        return ReviewCase.Status.SECOND
    return status


def disclose(case: ReviewCase, reader: User) -> None:
    """Record that this reader is shown the AI's answer. A repeated call changes nothing."""
    if case.prediction is None:
        return
    record_shown(predictions=[case.prediction], user=reader)


def ensure_claim(case: ReviewCase, user: User, *, roles: tuple[Reading.Role, ...]) -> bool:
    """Renew this user's claim for one of these roles, or claim the case again if it is unclaimed; else False."""
    statuses = [STATUS_OF_ROLE[role] for role in roles]
    if case.status in statuses and claims.renew(case, user):
        return True
    case.refresh_from_db()
    is_readable = case.status in statuses and policy.readable(user).filter(pk=case.pk).exists()
    return is_readable and claims.claim(case, user)


def advance(case: ReviewCase, reading: Reading, others: Sequence[Reading] | None = None) -> None:
    """Move a case on after a finished reading. `others`: the other standing readings, if the caller has loaded them.

    Raises Conflict when the case is no longer in the status of this reading.
    """
    if others is None:
        others = list(case.readings.standing().exclude(pk=reading.pk))
    readings = [*(each for each in others if each.role != Reading.Role.EXTRA), reading]
    extras = sorted((each for each in others if each.role == Reading.Role.EXTRA), key=lambda each: each.blind_at)
    differing = [each for each in extras if each.final_answer != reading.final_answer]
    status = _next_status(case, reading, readings, differing)
    values: dict[str, Any] = {"claimed_by": None, "lease_until": None, "assigned_to": None}
    if status == ReviewCase.Status.RESOLVED:
        values["resolved_at"] = timezone.now()
    expected = ReviewCase.objects.filter(pk=case.pk, status=STATUS_OF_ROLE[Reading.Role(reading.role)])
    if not expected.move(status, **values):
        raise Conflict("This case has changed since; your answer was not stored.")
    case.status = status
    if case.kind == ReviewCase.Kind.CASE:
        _tell_sender(case, reading, readings)
    elif case.kind == ReviewCase.Kind.CONTROL:
        pause_if_due(reader=reading.reader)
    if status == ReviewCase.Status.SECOND and extras:
        take_as_second(case, (differing or extras)[0])


def _next_status(
    case: ReviewCase, reading: Reading, readings: Sequence[Reading], differing: Sequence[Reading]
) -> ReviewCase.Status:
    """Where a finished reading moves its case. A hidden check is resolved by one answer."""
    if case.kind != ReviewCase.Kind.CASE:
        return ReviewCase.Status.RESOLVED
    if reading.role == Reading.Role.FIRST and (differing or policy.needs_second_reader(case, reading)):
        return ReviewCase.Status.SECOND
    if reading.role == Reading.Role.SECOND and len({each.final_answer for each in readings}) > 1:
        return ReviewCase.Status.ADJUDICATION
    return ReviewCase.Status.RESOLVED


def take_as_second(case: ReviewCase, extra: Reading) -> None:
    """Use an extra reading as the second reading that the case is waiting for."""
    Reading.objects.filter(pk=extra.pk).update(role=Reading.Role.SECOND)
    extra.role = Reading.Role.SECOND
    if policy.ai_decision(case):
        disclose(case, extra.reader)
    advance(case, extra)


def _tell_sender(case: ReviewCase, reading: Reading, readings: Sequence[Reading]) -> None:
    """Give the sender the final result, or a provisional one while a second reader is due.

    A weaker answer than the photo's standing label changes neither label nor result.
    """
    if case.status == ReviewCase.Status.ADJUDICATION:
        final_results.take_back_provisional(image=case.image)
        return
    is_final, reason = case.status == ReviewCase.Status.RESOLVED, ""
    if is_final:
        label = make_label(case=case, readings=readings, answer=reading.final_answer)
        if label.case_id != case.pk:
            return
        reason = _reason(case) if label.supersedes_id else ""
    final_results.settle_by_people(
        image=case.image,
        answer=reading.final_answer,
        detail=reading.detail,
        basis=_basis(readings),
        is_final=is_final,
        reason=reason,
    )


def _reason(case: ReviewCase) -> str:
    """Why the answer of this case was last amended, or the case reopened; "" where neither happened."""
    return case.amendments.values_list("reason", flat=True).first() or ""


def _basis(readings: Sequence[Reading]) -> FinalResult.Basis:
    if any(each.role == Reading.Role.ADJUDICATOR for each in readings):
        return FinalResult.Basis.ADJUDICATED
    return FinalResult.Basis.DOUBLE if len(readings) > 1 else FinalResult.Basis.SINGLE
