"""The reporter of a training run: stage, percent, log and heartbeat go into its row, metrics to MLflow.

A cancel request comes back from the row, and so does the loss of the run to another worker.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
from django.conf import settings
from django.db import connection
from django.utils import timezone

from cataract.core.failpoints import hit
from cataract.ml.learn.reporter import Reporter
from training.runs import mlflow_log
from training.runs.curves import Curves
from training.runs.models import TrainingRun, TrainingRunQuerySet
from training.tracking.tracker import Tracker

_LOG_CHARACTERS = 20_000
# Where each stage begins and ends, as a share of the whole run; the last steps of a build are short.
_STAGES = {
    "reading": (0.0, 0.15),
    "teaching": (0.15, 0.15),
    "fast": (0.15, 0.4),
    "accurate": (0.4, 0.8),
    "calibration": (0.8, 0.88),
    "registering": (0.91, 0.91),
    "comparing": (0.92, 0.99),
}
_OTHER_STAGE = (0.88, 0.9)
_METRICS = {
    "log_loss": "log loss",
    "roc_auc": "ROC-AUC",
    "accuracy": "accuracy",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
}
_log = logging.getLogger(__name__)


class RunReporter(Reporter):
    """Reports one attempt of a run. Its fencing token is `run.attempts`: a later attempt silences this one."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.token = run.attempts
        self.tracker = Tracker(str(run.pk), self.log)
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        self._started = time.monotonic()
        self._memory, self._memory_limit = 0, _memory_limit()
        self._stage, self._fraction = run.stage, 0.0
        self._text = run.log
        self._curves = Curves(run.curves)
        self._process, self._measured = psutil.Process(), list[tuple[str, float, int, int]]()
        self._lock = threading.Lock()

    @property
    def over_limit(self) -> str:
        """Which limit was exceeded and what to do, for a person; empty within the limits."""
        if self.seconds_left() < 0:
            hours = settings.TRAINING_MAX_HOURS
            return f"It took longer than {hours:g} hours and was stopped. Ask for fewer trials, or raise the limit."
        if self._memory > (limit := self._memory_limit):
            return (
                f"It used {self._memory / 1e9:.1f} GB of memory, more than the {limit / 1e9:.1f} GB allowed, and was "
                "stopped. Train one model at a time, or raise TRAINING_MAX_GIGABYTES."
            )
        return ""

    def seconds_left(self) -> float:
        """How long this attempt may still take."""
        return float(self._started + settings.TRAINING_MAX_HOURS * 3600 - time.monotonic())

    def should_stop(self) -> bool:
        """Cancelled by a person, taken over by another worker, or over a limit."""
        return self.cancelled.is_set() or self.lost.is_set() or bool(self.over_limit)

    def progress(self, stage: str, fraction: float, message: str = "") -> None:
        """`fraction` (0 to 1) of the stage. The first message of each stage goes into the log."""
        low, high = _STAGES.get(stage, _OTHER_STAGE)
        overall = low + (high - low) * min(fraction, 1.0)
        first = stage != self._stage.split(": ")[0]
        line = f"{stage}: {message}" if message else stage
        with self._lock:
            self._stage = line[:64]
            self._fraction = min(max(overall, self._fraction), 1.0)
        if first:
            self.log(line)
            self.beat()

    def metric(self, values: Mapping[str, Any], step: int) -> None:
        """One trial or epoch, for MLflow, the run's plots and, but for learning curves, one line of the log."""
        self.tracker.series(self._usage())
        with self._lock:
            self._curves.add(values, step)
        if "trees" in values:
            mlflow_log.log_metrics(self.tracker, values, step)
            return
        if "trial" in values:
            stage, name, fraction = "fast", f"trial {step + 1}", (step + 1) / self.run.parameters.get("trials", 20)
        else:
            fit, fits = values.get("fit", 0), values.get("fits", 1)
            stage, name = "accurate", f"epoch {step}" + (f" of fit {fit + 1} of {fits}" if fits > 1 else "")
            fraction = (fit + step / self.run.parameters.get("epochs", 40)) / fits
        outcome = _outcome(values)
        self.progress(stage, fraction, f"{name}, {outcome}")
        self.log(f"{name}: {outcome}")
        mlflow_log.log_metrics(self.tracker, values, step)
        hit(f"training.{'trial' if stage == 'fast' else 'epoch'}")

    def log(self, line: str) -> None:
        """Append one line to the run's log."""
        with self._lock:
            self._text = f"{self._text}{timezone.now():%H:%M:%S} {line}\n"[-_LOG_CHARACTERS:]

    def text(self) -> str:
        """The log so far."""
        with self._lock:
            return self._text

    def rows(self) -> TrainingRunQuerySet:
        """The run's row, unless a later attempt owns it."""
        return TrainingRun.objects.filter(pk=self.run.pk, attempts=self.token)

    def beat(self) -> None:
        """Write the row unless a later attempt owns it, read its cancel request, and measure memory."""
        self._memory = self._measure_usage()
        with self._lock:
            values = {
                "stage": self._stage,
                "percent": round(100 * self._fraction),
                "eta_seconds": self._eta(),
                "log": self._text,
                "curves": self._curves.stored(),
            }
        running = self.rows().in_status(TrainingRun.Status.RUNNING)
        if not running.update(heartbeat_at=timezone.now(), **values):
            if not self.cancelled.is_set():
                self.lost.set()
        elif running.filter(cancel_requested=True).exists():
            self.cancelled.set()

    def log_usage(self) -> None:
        """Send MLflow the measurements that no metric has taken along."""
        self.tracker.series(self._usage())

    def _measure_usage(self) -> int:
        """Measure what the run uses, for MLflow's system metrics; return the bytes of memory."""
        memory = self._process.memory_info().rss
        values = {
            "process_memory_megabytes": memory / 1e6,
            "process_cpu_percentage": self._process.cpu_percent(),
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_percentage": psutil.virtual_memory().percent,
        }
        at, step = round(time.time() * 1000), round(time.monotonic() - self._started)
        with self._lock:
            self._measured += [(f"system/{name}", value, at, step) for name, value in values.items()]
        return int(memory)

    def _usage(self) -> list[tuple[str, float, int, int]]:
        """What was measured since the last call. The heartbeat measures; the run's own thread alone talks to MLflow."""
        with self._lock:
            measured, self._measured = self._measured, []
        return measured

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat in a thread while the block runs."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=(done,), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat_until(self, done: threading.Event) -> None:
        while not done.wait(settings.TRAINING_SILENT_SECONDS / 8):  # also how soon a cancel request is noticed
            try:
                self.beat()
            except Exception:  # a short database outage must not end hours of work; the next beat follows
                _log.exception("The heartbeat of training run %s failed", self.run.pk)
            if self.cancelled.is_set():
                if not done.wait(settings.TRAINING_SILENT_SECONDS / 20):
                    self._cancel_row()
                break
        connection.close()

    def _cancel_row(self) -> None:
        """End the row while the work is in a step that does not check; it stops after that step and writes no more."""
        self.log("Cancelled. The worker is free when the step that it is in ends.")
        self.rows().move(TrainingRun.Status.CANCELLED, finished_at=timezone.now(), eta_seconds=None, log=self.text())

    def _eta(self) -> float | None:
        elapsed = time.monotonic() - self._started
        return elapsed * (1 - self._fraction) / self._fraction if self._fraction > 0.02 else None


def _outcome(values: Mapping[str, Any]) -> str:
    """The metrics of a trial or an epoch in words."""
    if values.get("pruned"):
        return f"pruned after fold {len(values['folds'])} (log loss {values['log_loss']:.3f})"
    return ", ".join(f"{words} {values[name]:.3f}" for name, words in _METRICS.items() if name in values)


def _memory_limit() -> float:
    """Bytes that a run may use: the setting, else three quarters of the machine's divided by the running runs."""
    running = max(1, TrainingRun.objects.in_status(TrainingRun.Status.RUNNING).count())
    return float(settings.TRAINING_MAX_GIGABYTES * 1e9 or 0.75 * psutil.virtual_memory().total / running)
