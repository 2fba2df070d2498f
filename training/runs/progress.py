"""The heartbeat of a run: stage, percent, log and pulse go into its row, a wish to cancel comes out of it."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from django.conf import settings
from django.db import connection
from django.utils import timezone

from training.runs.models import TrainingRun

_LOG_CHARACTERS = 20_000
_log = logging.getLogger(__name__)


class Progress:
    """What a run says of itself while it runs. `token`: the attempt that may write; a later one silences this one."""

    def __init__(self, run: TrainingRun, token: int) -> None:
        self.run = run
        self.token = token
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        self._started = time.monotonic()
        self._memory, self._memory_limit = 0, _memory_limit()
        self._stage, self._fraction = run.stage, 0.0
        self._text = run.log
        self._lock = threading.Lock()

    @property
    def over_limit(self) -> str:
        """Which limit was passed and what to do, for a person; empty while none was."""
        if time.monotonic() - self._started > settings.TRAINING_MAX_HOURS * 3600:
            hours = settings.TRAINING_MAX_HOURS
            return f"It took longer than {hours:g} hours and was stopped. Ask for fewer trials, or raise the limit."
        if self._memory > (limit := self._memory_limit):
            return (
                f"It used {self._memory / 1e9:.1f} GB of memory, more than the {limit / 1e9:.1f} GB allowed, and was "
                "stopped. Train one model at a time, or raise TRAINING_MAX_GIGABYTES."
            )
        return ""

    def should_stop(self) -> bool:
        """Asked between steps of a fit: cancelled by a person, taken over by another worker, or over a limit."""
        return self.cancelled.is_set() or self.lost.is_set() or bool(self.over_limit)

    def __call__(self, stage: str, fraction: float, message: str = "") -> None:
        """`fraction` of the whole work, 0 to 1. The first message of each stage goes into the log."""
        first = stage != self._stage.split(": ")[0]
        with self._lock:
            self._stage = (f"{stage}: {message}" if message else stage)[:64]
            self._fraction = min(max(fraction, self._fraction), 1.0)
        if first:
            self.say(f"{stage}: {message}" if message else stage)
            self.beat()

    def say(self, line: str) -> None:
        """Append one line to the run's log."""
        with self._lock:
            self._text = f"{self._text}{timezone.now():%H:%M:%S} {line}\n"[-_LOG_CHARACTERS:]

    def text(self) -> str:
        with self._lock:
            return self._text

    def beat(self) -> None:
        """Write the row, unless another attempt owns it; learn whether a person wants to cancel, and measure memory."""
        self._memory = psutil.Process().memory_info().rss
        with self._lock:
            values = {
                "stage": self._stage,
                "percent": round(100 * self._fraction),
                "eta_seconds": self._eta(),
                "log": self._text,
            }
        mine = TrainingRun.objects.filter(pk=self.run.pk, attempts=self.token).in_status(TrainingRun.Status.RUNNING)
        if not mine.update(heartbeat_at=timezone.now(), **values):
            if not self.cancelled.is_set():
                self.lost.set()
        elif mine.filter(cancel_requested=True).exists():
            self.cancelled.set()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """A thread beats while the block runs."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=(done,), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat_until(self, done: threading.Event) -> None:
        while not done.wait(settings.TRAINING_SILENT_SECONDS / 8):  # also how soon a wish to cancel is heard
            try:
                self.beat()
            except Exception:  # a database away for a moment must not end hours of work; the next beat tells
                _log.exception("The heartbeat of training run %s failed", self.run.pk)
            if self.cancelled.is_set():
                if not done.wait(settings.TRAINING_SILENT_SECONDS / 20):
                    self._cancel_over_the_work()
                break
        connection.close()

    def _cancel_over_the_work(self) -> None:
        """End the row where the work is in a step that does not ask: it finds out afterwards, and writes no more."""
        self.say("Cancelled. The worker is free when the step that it is in ends.")
        mine = TrainingRun.objects.filter(pk=self.run.pk, attempts=self.token)
        mine.move(TrainingRun.Status.CANCELLED, finished_at=timezone.now(), eta_seconds=None, log=self.text())

    def _eta(self) -> float | None:
        elapsed = time.monotonic() - self._started
        return elapsed * (1 - self._fraction) / self._fraction if self._fraction > 0.02 else None


def _memory_limit() -> float:
    """Bytes that a run may use: when no limit is set three quarters of the machine's, divided by the runs of now."""
    running = max(1, TrainingRun.objects.in_status(TrainingRun.Status.RUNNING).count())
    return float(settings.TRAINING_MAX_GIGABYTES * 1e9 or 0.75 * psutil.virtual_memory().total / running)
