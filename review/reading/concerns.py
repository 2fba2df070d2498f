"""A reader who should not answer alone: ask a colleague, escalate to a senior, or flag the case."""

from datetime import datetime

from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from review.cases.models import Concern, ReviewCase
from review.queue import policy
from review.reading import access, transitions


def colleagues_of(user: User) -> QuerySet[User]:
    """Other people who read cases, by name."""
    may_read = Permission.objects.filter(codename="read_reviewcase", content_type__app_label="review")
    readers = User.objects.filter(Q(groups__permissions__in=may_read) | Q(user_permissions__in=may_read))
    return readers.filter(is_active=True).exclude(pk=user.pk).distinct().order_by("username")


def ask_colleague(*, case: ReviewCase, reader: User, colleague: User, reason: str) -> Concern:
    """Hand a claimed case to a colleague, who reads it blind. Raises Conflict where that colleague cannot."""
    with transaction.atomic():
        _check(case, reader)
        is_check = case.kind != ReviewCase.Kind.CASE  # hidden: it must look like any other case
        if not is_check and not policy.readable(colleague).filter(pk=case.pk).exists():
            raise transitions.Conflict("This colleague cannot read this case. Ask another one, or escalate it.")
        _hand_over(case, reader, assigned_to=colleague)
        return _store(case, Concern.Kind.COLLEAGUE, reader, reason, asked=colleague)


def escalate(*, case: ReviewCase, reader: User, reason: str) -> Concern:
    """Hand a claimed case to the adjudicators, one of whom reads it blind. Raises Conflict without a claim."""
    with transaction.atomic():
        _check(case, reader)
        _hand_over(case, reader, escalated_at=timezone.now(), priority=policy.FIRST_BAND)
        return _store(case, Concern.Kind.SENIOR, reader, reason)


def flag(*, case: ReviewCase, reader: User, reason: str) -> Concern:
    """Tell those who assign cases that something is wrong with this one; its reader goes on reading."""
    _check(case, reader)
    return _store(case, Concern.Kind.FLAG, reader, reason)


def settle(*, concern: Concern) -> None:
    """Note that the concern has been looked at. A repeated call changes nothing."""
    Concern.objects.filter(pk=concern.pk, settled_at__isnull=True).update(settled_at=timezone.now())


def _check(case: ReviewCase, reader: User) -> None:
    if access.screen_for(case, reader) not in (access.Screen.BLIND, access.Screen.ADJUDICATE):
        raise transitions.Conflict("Your claim on this case has ended, or your answer is stored. Nothing was sent.")


def _hand_over(case: ReviewCase, reader: User, **values: User | datetime | int) -> None:
    """Give the claimed case away. A hidden check, which nobody else may read, is withdrawn instead."""
    claimed = ReviewCase.objects.filter(pk=case.pk, claimed_by=reader, lease_until__gt=timezone.now())
    free = {"claimed_by": None, "lease_until": None}
    if case.kind != ReviewCase.Kind.CASE:
        moved = claimed.move(ReviewCase.Status.WITHDRAWN, **free)
    else:
        moved = claimed.update(**free, **values)
    if not moved:
        raise transitions.Conflict("Your claim on this case has ended. Nothing was sent.")


def _store(case: ReviewCase, kind: Concern.Kind, by: User, reason: str, asked: User | None = None) -> Concern:
    if not reason.strip():
        raise ValueError("A concern needs a reason.")
    return Concern.objects.create(case=case, kind=kind, by=by, asked=asked, reason=reason.strip())
