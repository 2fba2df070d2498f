"""The states of a case: who may act in which, and where a finished reading moves it.

first -> resolved, or first -> second -> resolved, or first -> second -> adjudication -> resolved; undoing goes one step
back. Whoever comes too late gets a `Conflict` whose text is for that person.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import time_format

from cataract.core.errors import DomainError
from predictions.answering.events import address_of
from predictions.answering.models import Disclosure, Prediction
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint
from review.cases.models import Reading, ReviewCase
from review.labels.services import make_label
from review.queue import claims, policy

ROLE_OF_STATUS = {"first": Reading.Role.FIRST, "second": Reading.Role.SECOND, "adjudication": Reading.Role.ADJUDICATOR}
STATUS_OF_ROLE = {role: status for status, role in ROLE_OF_STATUS.items()}
AFTER = {"first": ["second", "adjudicator"], "second": ["adjudicator"], "adjudicator": []}


class Conflict(DomainError):
    """The case has moved on since this person last saw it; the message says to the person what happened."""

    code = "case_moved_on"
    status = 409


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


def disclose(case: ReviewCase, reader: User) -> None:
    """Write down that this reader is told what the AI said; once is enough."""
    if case.prediction is None:
        return
    row = Disclosure(prediction=case.prediction, user=reader, image_id=case.image_id)
    Disclosure.objects.bulk_create([row], ignore_conflicts=True)


def standing(case: ReviewCase) -> QuerySet[Reading]:
    """The readings of a case that nobody took back."""
    return Reading.objects.filter(case=case, retracted_at__isnull=True)


def pending(case: ReviewCase, reader: User) -> Reading | None:
    """This reader's blind answer for which the final one is still due."""
    return standing(case).filter(reader=reader, final_answer="").first()


def hold(case: ReviewCase, reader: User, *, roles: tuple[str, ...]) -> bool:
    """Make sure that this reader holds the case for one of these roles, taking it again where it is still free."""
    statuses = [STATUS_OF_ROLE[Reading.Role(role)] for role in roles]
    if case.status in statuses and claims.renew(case, reader):
        return True
    case.refresh_from_db()
    free = case.status in statuses and policy.readable(reader).filter(pk=case.pk).exists()
    return free and claims.claim(case, reader)


def advance(case: ReviewCase, reading: Reading, others: Sequence[Reading] | None = None) -> None:
    """Move a case on after a finished reading; `others` are the other standing ones, where the caller has them already.

    Raises Conflict when the case is no longer where the reading belongs.
    """
    if others is None:
        others = list(standing(case).exclude(pk=reading.pk))
    readings = [*(each for each in others if each.role != Reading.Role.EXTRA), reading]
    beside = sorted((each for each in others if each.role == Reading.Role.EXTRA), key=lambda each: each.blind_at)
    differing = [each for each in beside if each.final_answer != reading.final_answer]
    to = _destination(case, reading, readings, differing)
    values: dict[str, Any] = {"claimed_by": None, "lease_until": None, "assigned_to": None}
    if to == ReviewCase.Status.RESOLVED:
        values["resolved_at"] = timezone.now()
    status = STATUS_OF_ROLE[Reading.Role(reading.role)]
    if not ReviewCase.objects.filter(pk=case.pk, status=status).move(to, **values):
        raise Conflict("This case has moved on since; your answer was not stored.")
    case.status = to
    if to == ReviewCase.Status.RESOLVED and case.kind == ReviewCase.Kind.CASE:
        make_label(case=case, readings=readings, answer=reading.final_answer)
        if case.prediction is not None:
            _announce(case, case.prediction)
    elif to == ReviewCase.Status.SECOND and beside:
        take_as_second(case, (differing or beside)[0])


def _announce(case: ReviewCase, prediction: Prediction) -> None:
    """Tell other systems that people have agreed on the photo of a prediction."""
    data = {"prediction": str(prediction.pk), "address": address_of(prediction)}
    owner = case.image.uploaded_by_id
    webhooks.record(WebhookEndpoint.Event.CASE_RESOLVED, data, owner_id=owner, is_private=True)


def _destination(
    case: ReviewCase, reading: Reading, readings: Sequence[Reading], differing: Sequence[Reading]
) -> ReviewCase.Status:
    """Where a finished reading moves its case. What only measures a reader takes one answer, and makes no label."""
    if case.kind != ReviewCase.Kind.CASE:
        return ReviewCase.Status.RESOLVED
    if reading.role == Reading.Role.FIRST and (differing or policy.wants_second(case, reading)):
        return ReviewCase.Status.SECOND
    if reading.role == Reading.Role.SECOND and len({each.final_answer for each in readings}) > 1:
        return ReviewCase.Status.ADJUDICATION
    return ReviewCase.Status.RESOLVED


def take_as_second(case: ReviewCase, extra: Reading) -> None:
    """Let a second opinion that was given anyway be the second reading, for which the case now waits."""
    Reading.objects.filter(pk=extra.pk).update(role=Reading.Role.SECOND)
    extra.role = Reading.Role.SECOND
    if policy.opinion(case):
        disclose(case, extra.reader)
    advance(case, extra)
