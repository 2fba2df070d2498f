"""The state of the queue for one reader: what is ready, what others have claimed, what is done today."""

from dataclasses import dataclass
from datetime import datetime
from statistics import median

from django.contrib.auth.models import User
from django.db.models import Count, Max, Q
from django.utils import timezone

from review.cases.models import Reading, ReviewCase
from review.queue import claims, policy

OVERHEAD = 3.0  # seconds per case besides reading
RECENT = 20  # number of the reader's own readings behind the estimate


@dataclass(frozen=True)
class Counts:
    """Cases by what they mean for one reader. The field names are part of the API."""

    ready: int  # unclaimed, and this reader may read them
    held: int  # this reader may read them, but others have claimed them
    held_until: datetime | None
    mine: int  # claimed by this reader
    for_others: int  # open, but read by this reader, AI answer known to this reader, or assigned to others
    done_today: int
    minutes_left: int | None = None  # at this reader's own pace; None before there is one

    @property
    def waiting(self) -> int:
        return self.ready + self.mine

    @property
    def of_today(self) -> int:
        return self.done_today + self.waiting


def counts(reader: User) -> Counts:
    """The state of the queue for one reader, in five queries however long the queue is."""
    now = timezone.now()
    by_others = Q(lease_until__gt=now) & ~Q(claimed_by=reader)
    offered = policy.offered(reader).aggregate(
        ready=Count("pk", filter=claims.is_unclaimed()),
        held=Count("pk", filter=by_others),
        held_until=Max("lease_until", filter=by_others),
    )
    mine = claims.claimed_by(reader).count()
    total = ReviewCase.objects.of_photos_in_use().filter(status__in=ReviewCase.OPEN).count()
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return Counts(
        **offered,
        mine=mine,
        for_others=max(0, total - offered["ready"] - offered["held"] - mine),
        done_today=Reading.objects.standing().filter(reader=reader, final_at__gte=today).count(),
        minutes_left=_minutes(reader, offered["ready"] + mine),
    )


def _minutes(reader: User, cases: int) -> int | None:
    """Minutes for this many cases at the median pace of the reader's last readings, rounded up."""
    last = Reading.objects.filter(reader=reader, blind_seconds__isnull=False).order_by("-blind_at")[:RECENT]
    seconds = [(blind or 0.0) + (final or 0.0) for blind, final in last.values_list("blind_seconds", "final_seconds")]
    return -int(-cases * (median(seconds) + OVERHEAD) // 60) if seconds else None


def in_words(counts: Counts) -> str:
    """ "12 of 40 read, about 6 minutes left": the progress, without anything that makes a reader hurry."""
    if counts.minutes_left is None:
        return f"{counts.done_today} of {counts.of_today} read"
    unit = "minute" if counts.minutes_left == 1 else "minutes"
    return f"{counts.done_today} of {counts.of_today} read, about {counts.minutes_left} {unit} left"
