"""Claims: leases on a case that one conditional UPDATE takes, renews and gives back."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone

from predictions.photos.models import EyeImage
from review.cases.models import ReviewCase
from review.queue import diversity
from review.queue.policy import in_order, not_for_another, offered

AHEAD = 2  # cases claimed in advance, so the next photo is there at once
AHEAD_LEASE = timedelta(minutes=3)
LEAVING_LEASE = timedelta(seconds=20)  # long enough for a reload to keep the case
CANDIDATES = 16  # cases read from the queue for one claim


def lease_end() -> datetime:
    """When a lease taken now ends."""
    return timezone.now() + timedelta(seconds=settings.REVIEW_LEASE_SECONDS)


def is_unclaimed() -> Q:
    """Cases without a running lease."""
    return Q(lease_until__isnull=True) | Q(lease_until__lte=timezone.now())


def claimed_by(user: User) -> QuerySet[ReviewCase]:
    """Open cases on which this user's lease runs."""
    return ReviewCase.objects.filter(claimed_by=user, lease_until__gt=timezone.now(), status__in=ReviewCase.OPEN)


# Claiming -------------------------------------------------------------------------------------------------------------
def claim(case: ReviewCase, user: User, *, until: datetime | None = None) -> bool:
    """Claim an unclaimed case if its status is still the one in `case`. One UPDATE, so exactly one claimant wins.

    (The condition uses only the row's own columns. One that joins other tables becomes a sub-select, which PostgreSQL
    does not re-check after waiting for the row.)
    """
    claimable = ReviewCase.objects.filter(is_unclaimed() | Q(claimed_by=user), pk=case.pk, status=case.status)
    return _lease(claimable, case, user, until or lease_end())


def claim_next(user: User, *, until: datetime | None = None) -> ReviewCase | None:
    """Claim the next unclaimed case in this user's order; None when there is none."""
    while candidates := _first_offered(user):
        for case in diversity.spread(candidates, user.pk):
            if claim(case, user, until=until):
                return case
    return None


def _first_offered(user: User) -> list[ReviewCase]:
    """The first `CANDIDATES` unclaimed cases in this user's order.

    Sorting all open cases is cheap, and asking of each whether this user may read it is not: so the cases are sorted
    first, and asked about in growing slices from the front.
    """
    unclaimed = ReviewCase.objects.filter(is_unclaimed(), not_for_another(user), status__in=ReviewCase.OPEN)
    ordered = in_order(unclaimed, user).values_list("pk", flat=True)
    offered_now = offered(user).filter(is_unclaimed()).select_related("image", "prediction")
    found: list[ReviewCase] = []
    start, size = 0, 4 * CANDIDATES
    while len(found) < CANDIDATES and (keys := list(ordered[start : start + size])):
        found += in_order(offered_now.filter(pk__in=keys), user)[: CANDIDATES - len(found)]
        start, size = start + size, 4 * size
    return found


def claim_ahead(user: User, current: ReviewCase) -> list[ReviewCase]:
    """Claim the next `AHEAD` cases beside the current one, by short leases renewed at each call; returns those claimed.

    They are ordinary leases, so no two users claim one case. They expire soon after the page is closed.
    """
    until = timezone.now() + AHEAD_LEASE
    others = claimed_by(user).exclude(pk=current.pk).exclude(readings__reader=user)
    claimed = others.select_related("image", "prediction").order_by("-lease_until")
    ahead = [case for case in list(claimed) if _lease(claimed_by(user).filter(pk=case.pk), case, user, until)]
    # Leases end one second apart: the order of their ends is the order in which the cases are read.
    while len(ahead) < AHEAD and (case := claim_next(user, until=until - timedelta(seconds=len(ahead) + 1))):
        ahead.append(case)
    return ahead


# Keeping and giving back ----------------------------------------------------------------------------------------------
def renew(case: ReviewCase, user: User) -> bool:
    """Extend this user's running lease; False when it has ended."""
    return _lease(claimed_by(user).filter(pk=case.pk, status=case.status), case, user, lease_end())


def renew_longest(user: User) -> ReviewCase | None:
    """Renew the claim of this user whose lease ends last and return its case; None without a claim."""
    claimed = claimed_by(user).filter(image__status=EyeImage.Status.KEPT).select_related("image", "prediction")
    case = claimed.order_by("-lease_until").first()
    return case if case is not None and renew(case, user) else None


def renew_ahead(case_id: UUID, user: User) -> bool:
    """Turn the short lease on a case claimed ahead into a full one; False when it has ended. One UPDATE."""
    return bool(claimed_by(user).filter(pk=case_id).update(lease_until=lease_end()))


def release(case: ReviewCase, user: User) -> bool:
    """Give a claimed case back at once; False without a claim."""
    return bool(claimed_by(user).filter(pk=case.pk).update(claimed_by=None, lease_until=None))


def leave(case: ReviewCase, user: User) -> bool:
    """Let this user's leases end soon, because the page of `case` was closed or reloaded; False without a claim."""
    now = timezone.now()
    if not claimed_by(user).filter(pk=case.pk).exists():
        return False
    ahead = Q(lease_until__lte=now + AHEAD_LEASE)  # a case that is open in another tab has a longer lease
    return bool(claimed_by(user).filter(Q(pk=case.pk) | ahead).update(lease_until=now + LEAVING_LEASE))


def clear_expired() -> int:
    """Clear expired leases; returns how many. Claiming does not need this; lists read better with it."""
    expired = ReviewCase.objects.filter(lease_until__lte=timezone.now())
    return expired.update(claimed_by=None, lease_until=None)


def _lease(rows: QuerySet[ReviewCase], case: ReviewCase, user: User, until: datetime) -> bool:
    """Set the lease on `rows` (at most the row of `case`) and on `case`; False when no row matched."""
    if not rows.update(claimed_by=user, lease_until=until):
        return False
    case.claimed_by_id, case.lease_until = user.pk, until
    return True
