"""Change the answer of a resolved case, or send the case to a fresh reading: by an adjudicator, with a reason."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from cataract.core.errors import DomainError
from cataract.core.tokens import Credential
from predictions.answering import final_results
from review.cases import permissions
from review.cases.models import Amendment, Reading, ReviewCase
from review.labels.models import Label
from review.queue import claims
from review.reading import services, transitions

REOPEN_FOR = {
    ReviewCase.Status.FIRST: "fresh readers, as if nobody had read it",
    ReviewCase.Status.SECOND: "a second reader; the first answer stays",
}


class OwnReading(DomainError):
    """Nobody judges an own answer."""

    code, status = "own_reading", 403

    def __init__(self) -> None:
        super().__init__("You have read this case yourself. Another adjudicator can amend it.")


def is_own(case: ReviewCase, user: User) -> bool:
    """Whether this user has ever read the case, and so may not amend it."""
    return case.readings.filter(reader=user).exists()


def amend_case(
    *,
    case: ReviewCase,
    adjudicator: User,
    answer: str,
    reason: str,
    grade: str = "",
    detail: str = "",
    made_by: Credential = services.NOTHING,
) -> Reading:
    """Give a resolved case another answer: an adjudicated label, and an amended result with the reason for the sender.

    It trains the models unless the adjudicator has seen the AI's answer. Raises PermissionDenied without the
    permission, OwnReading, ValueError without a reason, Conflict when the case is not resolved or has changed since.
    """
    _check(adjudicator, reason)
    if is_own(case, adjudicator):
        raise OwnReading
    with transaction.atomic():
        amendment = Amendment(case=case, kind=Amendment.Kind.AMENDED, by=adjudicator, reason=reason, answer=answer)
        _take_back(amendment, to=ReviewCase.Status.ADJUDICATION, roles=[Reading.Role.ADJUDICATOR])
        return services.decide(
            case=case,
            adjudicator=adjudicator,
            answer=answer,
            reason=reason,
            grade=grade,
            detail=detail,
            made_by=made_by,
        )


def reopen_case(*, case: ReviewCase, adjudicator: User, reason: str, to: str = ReviewCase.Status.FIRST) -> ReviewCase:
    """Send a resolved case to a fresh reading: from the first reader on, or from the second (`to`).

    Its label no longer stands and the sender's result is taken back. Who read it before does not read it again. Raises
    PermissionDenied without the permission, ValueError without a reason or for another status, Conflict when the case
    is not resolved or has changed since.
    """
    _check(adjudicator, reason)
    if to not in REOPEN_FOR:
        raise ValueError("A case is reopened for its first or its second reader.")
    roles = [role for role in Reading.Role if to == ReviewCase.Status.FIRST or role != Reading.Role.FIRST]
    with transaction.atomic():
        amendment = Amendment(case=case, kind=Amendment.Kind.REOPENED, by=adjudicator, reason=reason)
        _take_back(amendment, to=ReviewCase.Status(to), roles=roles)
        if Label.objects.standing().filter(case=case).update(superseded_at=timezone.now()):
            final_results.take_back(image=case.image)
    case.refresh_from_db()
    return case


def _check(adjudicator: User, reason: str) -> None:
    if not adjudicator.has_perm(permissions.ADJUDICATE):
        raise PermissionDenied("Only adjudicators can amend or reopen a case.")
    if not reason.strip():
        raise ValueError("An amendment needs a reason.")


def _take_back(amendment: Amendment, *, to: ReviewCase.Status, roles: Sequence[Reading.Role]) -> None:
    """Move the resolved case back, store the amendment, and retract the readings of these roles in its name."""
    case, now = amendment.case, timezone.now()
    unchanged = ReviewCase.objects.filter(
        pk=case.pk, kind=ReviewCase.Kind.CASE, status=ReviewCase.Status.RESOLVED, resolved_at=case.resolved_at
    )
    is_amended = to == ReviewCase.Status.ADJUDICATION
    lease = {"claimed_by": amendment.by, "lease_until": claims.lease_end()} if is_amended else {}
    if not unchanged.move(to, resolved_at=None, **lease):
        raise transitions.Conflict("This case is not resolved, or it has changed since. Nothing was stored.")
    label = Label.objects.standing().filter(case=case).first()
    amendment.answer_before, amendment.at = label.answer if label is not None else "", now
    amendment.reason = amendment.reason.strip()
    amendment.save(force_insert=True)
    case.readings.standing().filter(role__in=roles).update(retracted_at=now, taken_back_by=amendment)
    case.status = to
