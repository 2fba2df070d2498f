"""Signs of life: which workers answered and what waited in the broker, noted by a worker each minute.

A page reads the note in one query and never waits for a broker or a worker. A note that is old says that none works.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from celery import shared_task
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from cataract.core.models import Prepared
from cataract.core.prepared import store_part
from cataract.ops.system import ask_broker

SILENT_AFTER: Final = timedelta(minutes=4)
_FORGOTTEN_AFTER: Final = timedelta(days=1)
_NAME: Final = "signs of life"


@dataclass(frozen=True)
class Worker:
    """A worker and when it answered last."""

    name: str
    seen_at: datetime

    @property
    def is_alive(self) -> bool:
        return self.seen_at > timezone.now() - SILENT_AFTER


@dataclass(frozen=True)
class Signs:
    """The last note: None before the first. queues: {queue: messages}, None where the broker did not answer."""

    at: datetime | None
    workers: list[Worker]
    queues: dict[str, int] | None

    @property
    def alive(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_alive]


@shared_task  # type: ignore[untyped-decorator]
def note_signs_of_life() -> None:
    """Ask the broker and all workers, and note who answered. The worker that runs this is alive for sure."""
    now, found, before = timezone.now(), ask_broker(), last_signs()
    seen = {worker.name: worker.seen_at for worker in before.workers if worker.seen_at > now - _FORGOTTEN_AFTER}
    seen |= dict.fromkeys(found["workers"] or (), now)
    workers = {name: at.isoformat() for name, at in sorted(seen.items())}
    store_part(_NAME, {"workers": workers, "queues": found["queues"]}, as_of=now)


def last_signs() -> Signs:
    """The last note, in one query."""
    row = Prepared.objects.filter(pk=_NAME).first()
    if row is None or row.content is None:
        return Signs(None, [], None)
    workers = [Worker(name, at) for name, text in row.content["workers"].items() if (at := parse_datetime(text))]
    return Signs(row.made_at, workers, row.content["queues"])
