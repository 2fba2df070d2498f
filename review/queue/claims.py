"""Who holds which case: leases that one conditional UPDATE takes, renews and gives back."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone

from review.cases.models import ReviewCase
from review.cases.permissions import Person
from review.queue import diversity
from review.queue.policy import in_order, offered

AHEAD = 2  # cases kept for a reader beside the one that is read, so that the next photo is there at once
AHEAD_LEASE = timedelta(minutes=3)
LEAVING = timedelta(seconds=20)  # a page that is left keeps its case this long, so that a reload keeps it too


def is_free() -> Q:
    """Cases that nobody holds now."""
    return Q(lease_until__isnull=True) | Q(lease_until__lte=timezone.now())


# Holding a case -------------------------------------------------------------------------------------------------------
def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.REVIEW_LEASE_SECONDS)


def held_by(person: Person) -> QuerySet[ReviewCase]:
    """Open cases on which this person's lease runs."""
    return ReviewCase.objects.filter(
        claimed_by_id=person.pk, lease_until__gt=timezone.now(), status__in=ReviewCase.OPEN
    )


def claim(case: ReviewCase, person: User, *, until: datetime | None = None) -> bool:
    """Take a free case in the status in which it was seen. One UPDATE on the row's own columns: exactly one wins.

    (A condition that joins other tables becomes a sub-select, which PostgreSQL does not re-check after waiting.)
    """
    free = ReviewCase.objects.filter(is_free() | Q(claimed_by=person), pk=case.pk, status=case.status)
    return _hold_until(free, case, person, until or lease_end())


def _hold_until(rows: QuerySet[ReviewCase], case: ReviewCase, person: Person, until: datetime) -> bool:
    if not rows.update(claimed_by=person, lease_until=until):
        return False
    case.claimed_by_id, case.lease_until = person.pk, until
    return True


def claim_held(person: User) -> ReviewCase | None:
    """The case that this person holds longest from now, renewed; None when this person holds none."""
    mine = held_by(person).select_related("image", "prediction").order_by("-lease_until").first()
    return mine if mine is not None and renew(mine, person) else None


def claim_free(person: User, *, until: datetime | None = None) -> ReviewCase | None:
    """The next free case, now held; None when nothing is free for this person."""
    waiting = offered(person).filter(is_free()).select_related("image", "prediction")
    while candidates := list(in_order(waiting, person)[:16]):
        for case in diversity.spread(candidates, person.pk):
            if claim(case, person, until=until):
                return case
    return None


def claim_ahead(person: User, besides: ReviewCase) -> list[ReviewCase]:
    """Keep the next `AHEAD` cases for this person by short leases, renewed at each call; returns those kept.

    They are leases like any other, so no two people hold one case; they end by themselves when the page is gone.
    """
    until = timezone.now() + AHEAD_LEASE
    held = held_by(person).exclude(pk=besides.pk).exclude(readings__reader=person)
    soonest = held.select_related("image", "prediction").order_by("-lease_until")
    kept = [case for case in list(soonest) if _hold_until(held_by(person).filter(pk=case.pk), case, person, until)]
    while len(kept) < AHEAD and (case := claim_free(person, until=until - timedelta(seconds=len(kept) + 1))):
        kept.append(case)
    return kept


def renew(case: ReviewCase, person: Person) -> bool:
    """Extend this person's running lease; False when it has ended."""
    return _hold_until(held_by(person).filter(pk=case.pk, status=case.status), case, person, lease_end())


def hold_on(case_id: UUID, person: Person) -> bool:
    """Hold a case that was kept ahead for as long as any other; False when its lease has ended. One UPDATE."""
    return bool(held_by(person).filter(pk=case_id).update(lease_until=lease_end()))


def release(case: ReviewCase, person: Person) -> bool:
    """Give a held case back at once."""
    return bool(held_by(person).filter(pk=case.pk).update(claimed_by=None, lease_until=None))


def leave(case: ReviewCase, person: Person) -> bool:
    """Let the leases of this person end soon, because the page of `case` was closed (or is being reloaded)."""
    now = timezone.now()
    if not held_by(person).filter(pk=case.pk).exists():
        return False
    kept_ahead = Q(lease_until__lte=now + AHEAD_LEASE)  # a case that is open in another tab has a longer lease
    return bool(held_by(person).filter(Q(pk=case.pk) | kept_ahead).update(lease_until=now + LEAVING))


def free_expired() -> int:
    """Clear the leases that have ended. Claims do not need it; lists read better with it."""
    ended = ReviewCase.objects.filter(lease_until__lte=timezone.now())
    return ended.update(claimed_by=None, lease_until=None)
