"""Parts of pages that take seconds to compute on a large installation: a worker prepares them, a page shows the last.

Each has a name and a content of JSON. A page that shows one asks for a newer one when it is older than FRESH.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from cataract.core.models import Prepared

FRESH = timedelta(minutes=10)
_ASK_AGAIN_AFTER = timedelta(minutes=3)  # the message may be lost, or its worker dead


@dataclass(frozen=True)
class Part:
    """What a page shows: the content and its time, both None before the first; and whether a newer one is asked for."""

    content: Any
    made_at: datetime | None
    waits: bool


def last_part(name: str, ask: Callable[[], object]) -> Part:
    """The part of this name as it was prepared last; calls `ask` once where it is missing or old."""
    now = timezone.now()
    row, _ = Prepared.objects.get_or_create(pk=name)
    is_old = row.made_at is None or row.made_at < now - FRESH
    if is_old and take_turn(name):
        ask()
    return Part(row.content, row.made_at, is_old)


def store_part(name: str, content: Any, *, as_of: datetime) -> None:
    """Keep what a worker has prepared from the rows as they were then."""
    Prepared.objects.update_or_create(pk=name, defaults={"content": content, "made_at": as_of, "asked_at": None})


def stored_part(name: str) -> Part:
    """The part as it was prepared last, however old; asks for nothing. `waits`: somebody has asked lately."""
    row = Prepared.objects.filter(pk=name).first() or Prepared(pk=name)
    return Part(row.content, row.made_at, row.asked_at is not None and row.asked_at > timezone.now() - _ASK_AGAIN_AFTER)


def take_turn(name: str) -> bool:
    """Whether the caller is the one that asks a worker now; one UPDATE, so one of many."""
    now = timezone.now()
    Prepared.objects.get_or_create(pk=name)
    nobody_has = Q(asked_at__isnull=True) | Q(asked_at__lt=now - _ASK_AGAIN_AFTER)
    return bool(Prepared.objects.filter(nobody_has, pk=name).update(asked_at=now))
