"""What the training worker does: run a build under a heartbeat, register its release, compare, and sweep."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from cataract.ml.learn.build import TrainingData, build_release
from cataract.ml.release import Manifest, verify
from predictions import registry, storage
from predictions.models import Release
from training import story
from training.comparison import compare as compare_pair
from training.datasets import training_rows
from training.models import Comparison, Dataset, TrainingRun
from training.progress import Progress
from training.tracking import Tracker, reconcile_aliases, waiting

SILENT_SECONDS = 60
UNCLAIMED_SECONDS = 30
MAX_ATTEMPTS = 5
_log = logging.getLogger(__name__)

Build = Callable[..., Manifest]


class Stopped(Exception):
    """The run must end: cancelled, taken over or out of time. Which one, `Progress` knows."""


def run(run_id: str, *, build: Build | None = None) -> None:
    """Train one queued run to its end. Safe to deliver twice: only one delivery claims it.

    `build` has the signature of `cataract.ml.learn.build.build_release`, the default.
    """
    claimed = _claim(run_id)
    if claimed is None:
        return
    progress = Progress(claimed, claimed.attempts)
    tracker = Tracker(str(claimed.pk), progress.say)
    try:
        with progress.beating(), _workplace(claimed) as folder:
            story.tell_start(tracker, claimed)
            manifest = _build(claimed, folder, progress, tracker, build)
            release = _register(folder, manifest, progress)
            comparison = _compare(claimed, release, progress)
            story.tell_release(tracker, release, comparison)
            progress.beat()
        if progress.should_stop():
            raise Stopped
    except Exception as error:
        _end_badly(claimed, progress, tracker, error)
    else:
        _finish(claimed, progress, tracker, TrainingRun.Status.SUCCEEDED, "FINISHED", release=release, percent=100)


def compare(challenger_id: str) -> None:
    """Compare one release with the champion on the newest dataset. Safe to repeat."""
    challenger = Release.objects.filter(pk=challenger_id).first()
    champion = Release.objects.filter(status=Release.Status.CHAMPION).exclude(pk=challenger_id).first()
    dataset = Dataset.objects.first()
    if challenger and champion and dataset:
        compare_pair(challenger=challenger, champion=champion, dataset=dataset)


def sweep(*, publish: Callable[[str], Any]) -> None:
    """Set silent runs INTERRUPTED, `publish` the ids of runs nobody took, and deliver what MLflow missed."""
    now = timezone.now()
    silent = TrainingRun.objects.in_status(TrainingRun.Status.RUNNING)
    silent.filter(heartbeat_at__lt=now - timedelta(seconds=SILENT_SECONDS)).move(TrainingRun.Status.INTERRUPTED)
    queued = TrainingRun.objects.in_status(TrainingRun.Status.QUEUED)
    queued.filter(attempts__gte=MAX_ATTEMPTS).move(
        TrainingRun.Status.FAILED,
        finished_at=now,
        error=f"Its worker was lost {MAX_ATTEMPTS} times. Look at its memory.",
    )
    unclaimed = queued.filter(created_at__lt=now - timedelta(seconds=UNCLAIMED_SECONDS))
    for run_id in unclaimed.values_list("pk", flat=True):
        publish(str(run_id))
    _sweep_workplaces()
    try:
        story.deliver_waiting()
        if TrainingRun.objects.exists():  # before the first run MLflow knows no release, and asking makes its database
            reconcile_aliases(_newest(Release.Status.CHAMPION), _newest(Release.Status.CHALLENGER))
    except Exception as error:
        _log.warning("MLflow does not answer, the records wait: %s", error)


def _claim(run_id: str) -> TrainingRun | None:
    """This worker's run, or None when somebody else has it or it is over."""
    queued = TrainingRun.objects.filter(pk=run_id, attempts__lt=MAX_ATTEMPTS).in_status(TrainingRun.Status.QUEUED)
    now = timezone.now()
    if not queued.move(
        TrainingRun.Status.RUNNING, attempts=F("attempts") + 1, started_at=now, heartbeat_at=now, error=""
    ):
        return None
    claimed: TrainingRun = TrainingRun.objects.select_related("dataset", "base_release").get(pk=run_id)
    return claimed


def _build(run: TrainingRun, folder: Path, progress: Progress, tracker: Tracker, build: Build | None) -> Manifest:
    base = registry.folder_of(run.base_release)
    verify(base, sha256=run.base_release.manifest_sha256)
    rows = list(training_rows(run.dataset))
    progress("reading", 0.0, f"{len(rows)} labelled photos, starting from {run.base_release_id}")
    data = TrainingData(
        paths=[storage.path(row.image.stored_name) for row in rows],
        sha256s=[row.image.sha256 for row in rows],
        y=np.array([row.answer == "cataract" for row in rows], dtype=np.int64),
        clusters=np.array([row.cluster for row in rows], dtype=np.int64),
        splits=[row.split for row in rows],
        weights=np.array([row.weight for row in rows], dtype=np.float64),
    )
    manifest = (build or build_release)(
        folder,
        base,
        data,
        kind=run.kind,
        seed=run.seed,
        on_progress=lambda stage, fraction, message: progress(stage, _overall(stage, fraction), message),
        on_metrics=partial(_on_metrics, run, progress, tracker),
        should_stop=progress.should_stop,
        **run.parameters,
    )
    if progress.should_stop():
        raise Stopped
    return manifest


# Where each stage of a build begins and ends, as a share of the whole run.
_STAGES = {"reading": (0.0, 0.15), "fast": (0.15, 0.4), "accurate": (0.4, 0.8), "calibration": (0.8, 0.88)}


def _overall(stage: str, fraction: float) -> float:
    low, high = _STAGES.get(stage, (0.88, 0.9))
    return low + (high - low) * min(fraction, 1.0)


def _on_metrics(run: TrainingRun, progress: Progress, tracker: Tracker, values: dict[str, Any], step: int) -> None:
    """Of a trial or an epoch: MLflow gets all of it, the run's page and log one line."""
    stage, number = ("fast", "trial") if "trial" in values else ("accurate", "epoch")
    expected = run.parameters.get("trials", 20) if stage == "fast" else run.parameters.get("epochs", 40)
    figures = ", ".join(f"{k} {v:.3f}" for k, v in values.items() if isinstance(v, float) and k != number)
    progress(stage, _overall(stage, (step + 1) / expected), f"{number} {step + 1}, {figures}")
    progress.say(f"{number} {step + 1}: {figures}")
    story.tell_metrics(tracker, values, step)


def _register(folder: Path, manifest: Manifest, progress: Progress) -> Release:
    """The challenger's row. The same data, seed and code make the same release: then its row is there already."""
    progress("registering", 0.91, manifest.id)
    known: Release | None = Release.objects.filter(pk=manifest.id).first()
    if known is not None:
        progress.say(f"The run made release {known.pk} again, file by file the same.")
        return known
    return registry.register_release(folder=folder)


def _compare(run: TrainingRun, release: Release, progress: Progress) -> Comparison | None:
    """The evidence for the promotion. Without it the release is whole but cannot be promoted yet."""
    champion = Release.objects.filter(status=Release.Status.CHAMPION).exclude(pk=release.pk).first()
    if champion is None:
        return None
    try:
        comparison = compare_pair(
            challenger=release,
            champion=champion,
            dataset=run.dataset,
            on_progress=lambda stage, fraction, message: progress(stage, 0.92 + 0.07 * fraction, message),
        )
    except Exception as error:
        _log.exception("The comparison of release %s failed", release.pk)
        progress.say(f"The comparison with the champion failed ({error}). Ask for it again on the release's page.")
        return None
    progress.say(f"Against {champion.pk}: {comparison.get_verdict_display()}.")
    return comparison


def _end_badly(run: TrainingRun, progress: Progress, tracker: Tracker, error: Exception) -> None:
    if progress.lost.is_set():
        return  # another worker has the run now, and its story
    if progress.cancelled.is_set():
        progress.say("Cancelled.")
        _finish(run, progress, tracker, TrainingRun.Status.CANCELLED, "KILLED")
        return
    hours = progress.limit_hours
    message = f"It took longer than {hours:g} hours and was stopped." if progress.out_of_time else _in_words(error)
    _log.error("Training run %s failed", run.pk, exc_info=error)
    progress.say(f"Failed: {message}")
    _finish(run, progress, tracker, TrainingRun.Status.FAILED, "FAILED", error=message)


def _finish(run: TrainingRun, progress: Progress, tracker: Tracker, status: str, mlflow: str, **values: Any) -> None:
    if status == TrainingRun.Status.SUCCEEDED:
        progress.say("Succeeded.")
    tracker.text("log.txt", progress.text())
    tracker.finish(mlflow)
    state = tracker.spool.state
    mine = TrainingRun.objects.filter(pk=run.pk, attempts=progress.token)
    mine.move(
        status,
        finished_at=timezone.now(),
        heartbeat_at=timezone.now(),
        eta_seconds=None,
        log=progress.text(),
        mlflow_run_id=state["run"],
        mlflow_experiment_id=state["experiment"],
        **values,
    )
    if state["ended"]:
        tracker.spool.forget()


def _in_words(error: Exception) -> str:
    text = str(error).strip()
    return text if text else f"{type(error).__name__}, without a message. The worker's log has the details."


@contextmanager
def _workplace(run: TrainingRun) -> Iterator[Path]:
    """A folder for the build, beside the releases; what a failed build leaves never looks like a release."""
    folder = settings.RELEASE_DIR / f".building-{run.pk}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep_workplaces() -> None:
    """Remove what killed builds and delivered plots left behind."""
    running = {f".building-{pk}" for pk in TrainingRun.objects.in_status("running").values_list("pk", flat=True)}
    for folder in Path(settings.RELEASE_DIR).glob(".building-*"):
        if not any(folder.name.startswith(name) for name in running):  # a build writes to a folder beside its own
            shutil.rmtree(folder, ignore_errors=True)
    undelivered = set(waiting())
    undelivered |= {name.removeprefix(".building-") for name in running}
    for folder in story.plots_folder("*").parent.glob("*-plots"):
        if folder.name.removesuffix("-plots") not in undelivered:
            shutil.rmtree(folder, ignore_errors=True)


def _newest(status: str) -> str:
    return Release.objects.filter(status=status).values_list("pk", flat=True).first() or ""
