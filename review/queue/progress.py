"""How the queue stands for one person: what is free, what others hold, how far today's work has come."""

from dataclasses import dataclass
from datetime import datetime
from statistics import median

from django.contrib.auth.models import User
from django.db.models import Count, Max, Q
from django.utils import timezone

from review.cases.models import Reading, ReviewCase
from review.queue import claims, policy

HANDLING = 3.0  # seconds a case beside looking at it
RECENT = 20  # so many of one's own readings make the estimate


@dataclass(frozen=True)
class Counts:
    """How the queue stands for one person."""

    ready: int  # free for this person now
    held: int  # readable by this person, but held by others
    held_until: datetime | None
    mine: int  # held by this person
    for_others: int  # open, but this person has read them, knows the AI's answer, or they are assigned to others
    done_today: int
    minutes_left: int | None = None  # at this person's own pace; None before there is one

    @property
    def waiting(self) -> int:
        return self.ready + self.mine

    @property
    def of_today(self) -> int:
        return self.done_today + self.waiting


def counts(person: User) -> Counts:
    """How the queue stands for one person, in five queries however long the queue is."""
    now = timezone.now()
    others = Q(lease_until__gt=now) & ~Q(claimed_by=person)
    mine = Q(lease_until__gt=now, claimed_by=person)
    row = policy.offered(person).aggregate(
        ready=Count("pk", filter=claims.is_free()),
        held=Count("pk", filter=others),
        until=Max("lease_until", filter=others),
        mine=Count("pk", filter=mine),
    )
    total = ReviewCase.objects.filter(status__in=ReviewCase.OPEN).count()
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    done = Reading.objects.filter(reader=person, retracted_at__isnull=True, final_at__gte=today).count()
    mine_now = claims.held_by(person).count()
    for_others = max(0, total - row["ready"] - row["held"] - mine_now)
    minutes = _minutes(person, row["ready"] + mine_now)
    return Counts(row["ready"], row["held"], row["until"], mine_now, for_others, done, minutes)


def _minutes(person: User, cases: int) -> int | None:
    """At the median pace of one's own last readings, rounded up."""
    last = Reading.objects.filter(reader=person, blind_seconds__isnull=False).order_by("-blind_at")[:RECENT]
    spent = [(blind or 0.0) + (final or 0.0) for blind, final in last.values_list("blind_seconds", "final_seconds")]
    return -int(-cases * (median(spent) + HANDLING) // 60) if spent else None


def in_words(counts: Counts) -> str:
    """'12 of 40, about 6 minutes': how far one is, and nothing that would make anybody hurry."""
    if counts.minutes_left is None:
        return f"{counts.done_today} of {counts.of_today} read"
    unit = "minute" if counts.minutes_left == 1 else "minutes"
    return f"{counts.done_today} of {counts.of_today} read, about {counts.minutes_left} {unit} left"
