"""Tell a worker that a row is waiting, without waiting for the broker."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from django.db import transaction

log = logging.getLogger(__name__)


class Task(Protocol):
    """A Celery task that takes a primary key."""

    name: str
    delay: Callable[[str], Any]


def nudge(task: Task, pk: object) -> None:
    """Send `task` the primary key of a row once the transaction commits. Never blocks and never raises.

    A broker that is down or silent costs time only: the row is already stored, and a periodic sweep finds it.
    """
    transaction.on_commit(partial(_in_background, partial(_publish, task, str(pk))), robust=True)


def _in_background(publish: Callable[[], None]) -> None:
    # Not a daemon: a command that ends at once still sends its message. The broker's socket timeouts bound the wait.
    threading.Thread(target=publish, name="nudge").start()


def _publish(task: Task, pk: str) -> None:
    try:
        task.delay(pk)
    except Exception as error:
        log.warning("%s for %s waits for the next sweep: the broker did not take the message: %s", task.name, pk, error)
