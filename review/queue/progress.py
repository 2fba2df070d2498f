"""The state of the queue for one reader: what is ready, what others have claimed, what is done today."""

from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from django.contrib.auth.models import User
from django.db.models import Count, Max, Q
from django.utils import timezone

from cataract.core.querysets import Counted
from review.cases.models import Reading, ReviewCase
from review.queue import claims, policy

OVERHEAD = 3.0  # seconds per case besides reading
LOOKED_AT = 1000  # open cases of which each page asks whether this reader may read them; of a longer queue, no more
RECENT = 20  # number of the reader's own readings behind the estimate


@dataclass(frozen=True)
class Counts:
    """Cases by what they mean for one reader. The field names are part of the API."""

    ready: int  # unclaimed, and this reader may read them, among the first LOOKED_AT
    held: int  # this reader may read them, but others have claimed them
    held_until: datetime | None
    mine: int  # claimed by this reader
    for_others: int | None  # open, but read by this reader, AI answer known to this reader, or assigned to others
    done_today: int
    more_ready: bool = False  # there may be more than `ready`; then `for_others` is not known
    minutes_left: int | None = None  # at this reader's own pace; None before there is one

    @property
    def waiting(self) -> int:
        return self.ready + self.mine

    @property
    def in_words(self) -> str:
        """How many cases wait for this reader."""
        return str(Counted(self.waiting, self.more_ready))


def counts(reader: User) -> Counts:
    """The state of the queue for one reader, in seven queries however long the queue is."""
    held = policy.offered(reader).filter(Q(lease_until__gt=timezone.now()) & ~Q(claimed_by=reader))
    claimed = held.aggregate(held=Count("pk"), held_until=Max("lease_until"))
    today = today_of(reader)
    for_others = None
    if not today.more_ready:
        total = ReviewCase.objects.of_photos_in_use().filter(status__in=ReviewCase.OPEN).count()
        for_others = max(0, total - today.ready - claimed["held"] - today.mine)
    return replace(today, **claimed, for_others=for_others)


def today_of(reader: User) -> Counts:
    """What `in_words` says, without what others do: five queries, for every page with a case on it."""
    now = timezone.now()
    unclaimed = ReviewCase.objects.filter(claims.is_unclaimed(), status__in=ReviewCase.OPEN).order_by()
    looked_at = list(unclaimed.values_list("pk", flat=True)[: LOOKED_AT + 1])
    ready = policy.offered(reader).filter(claims.is_unclaimed(), pk__in=looked_at[:LOOKED_AT]).count()
    is_more = len(looked_at) > LOOKED_AT
    mine = claims.claimed_by(reader).count()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return Counts(
        ready=ready,
        held=0,
        held_until=None,
        mine=mine,
        for_others=None,
        done_today=Reading.objects.standing().filter(reader=reader, final_at__gte=midnight).count(),
        more_ready=is_more,
        minutes_left=None if is_more else _minutes(reader, ready + mine),
    )


def _minutes(reader: User, cases: int) -> int | None:
    """Minutes for this many cases at the median pace of the reader's last readings, rounded up."""
    last = Reading.objects.filter(reader=reader, blind_seconds__isnull=False).order_by("-blind_at")[:RECENT]
    seconds = [(blind or 0.0) + (final or 0.0) for blind, final in last.values_list("blind_seconds", "final_seconds")]
    return -int(-cases * (median(seconds) + OVERHEAD) // 60) if seconds else None


def in_words(counts: Counts, *, of: int | None = None) -> str:
    """ "12 of 40 read, about 6 minutes left": the progress, without anything that makes a reader hurry.

    of: the total, where it was fixed before; by default what is read and what waits now.
    """
    total = counts.done_today + counts.waiting if of is None else max(of, counts.done_today)
    of_today = Counted(total, counts.more_ready)
    if not counts.minutes_left:
        return f"{counts.done_today} of {of_today} read"
    unit = "minute" if counts.minutes_left == 1 else "minutes"
    return f"{counts.done_today} of {of_today} read, about {counts.minutes_left} {unit} left"
