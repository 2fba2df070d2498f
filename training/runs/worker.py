"""What the training worker does: run a build under a heartbeat, register its release, compare, and sweep."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from cataract.core.failpoints import hit
from cataract.ml.arrays import Floats
from cataract.ml.learn.build.build import TrainingData, build_release
from cataract.ml.learn.build.distillation import Teaching
from cataract.ml.release.manifest import MANIFEST, Manifest, verify
from predictions.photos import storage
from predictions.releases import store
from predictions.releases.models import Release
from training.comparison.models import Comparison
from training.comparison.worker import compare as compare_pair
from training.datasets.models import DatasetItem
from training.datasets.selectors import training_rows, unlabelled_photos
from training.datasets.vectors import stored_vectors, vector_cache
from training.label_checks.worker import fail_lost_checks
from training.runs import mlflow_log, workspace
from training.runs.models import TrainingRun
from training.runs.progress import Progress
from training.tracking.mlflow_client import reconcile_aliases
from training.tracking.tracker import Tracker

UNCLAIMED_SECONDS = 30
MAX_ATTEMPTS = 5
_log = logging.getLogger(__name__)

Build = Callable[..., Manifest]


class Stopped(Exception):
    """The run must end: cancelled, taken over or out of time. Which one, `Progress` knows."""


def run(run_id: str, *, build: Build | None = None) -> None:
    """Train one queued run to its end. Safe to deliver twice: only one delivery claims it.

    `build` has the signature of `cataract.ml.learn.build.build.build_release`, the default.
    """
    claimed = _claim(run_id)
    if claimed is None:
        return
    progress = Progress(claimed, claimed.attempts)
    tracker = Tracker(str(claimed.pk), progress.say)
    with progress.beating():
        try:
            with workspace.of(claimed) as folder:
                release = _work(claimed, folder, progress, tracker, build)
        except Exception as error:
            _end_badly(claimed, progress, tracker, error)
            return
    _finish(claimed, progress, tracker, TrainingRun.Status.SUCCEEDED, "FINISHED", release=release, percent=100)


def sweep(*, publish: Callable[[str], Any]) -> None:
    """Set silent runs INTERRUPTED, `publish` the ids of runs nobody took, and deliver what MLflow missed."""
    now = timezone.now()
    silent = TrainingRun.objects.in_status(TrainingRun.Status.RUNNING)
    too_old = now - timedelta(seconds=settings.TRAINING_SILENT_SECONDS)
    silent.filter(heartbeat_at__lt=too_old).move(TrainingRun.Status.INTERRUPTED)
    queued = TrainingRun.objects.in_status(TrainingRun.Status.QUEUED)
    queued.filter(attempts__gte=MAX_ATTEMPTS).move(
        TrainingRun.Status.FAILED,
        finished_at=now,
        error=f"Its worker was lost {MAX_ATTEMPTS} times. Look at its memory.",
    )
    unclaimed = queued.filter(created_at__lt=now - timedelta(seconds=UNCLAIMED_SECONDS))
    for run_id in unclaimed.values_list("pk", flat=True):
        publish(str(run_id))
    workspace.sweep()
    fail_lost_checks()
    try:
        mlflow_log.deliver_waiting()
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
    return TrainingRun.objects.select_related("dataset", "base_release").get(pk=run_id)


def _work(run: TrainingRun, folder: Path, progress: Progress, tracker: Tracker, build: Build | None) -> Release:
    mlflow_log.tell_start(tracker, run)
    manifest = _build(run, folder, progress, tracker, build)
    release = _register(folder / workspace.RELEASE, manifest, progress)
    comparison = _compare(run, release, progress)
    mlflow_log.tell_release(tracker, release, comparison)
    progress.beat()
    if progress.should_stop():
        raise Stopped
    return release


def _build(run: TrainingRun, folder: Path, progress: Progress, tracker: Tracker, build: Build | None) -> Manifest:
    """Build the release, or take the one that an earlier attempt finished before it was killed."""
    made = folder / workspace.RELEASE
    if progress.should_stop():
        raise Stopped
    if run.attempts > 1:
        progress.say(f"Attempt {run.attempts}: it goes on from what was kept before.")
    if (made / MANIFEST).exists():
        progress.say("The attempt before finished the release; it is checked and registered.")
        return verify(made)
    base = store.folder_of(run.base_release)
    verify(base, sha256=run.base_release.manifest_sha256)
    rows = list(training_rows(run.dataset))
    vectors = stored_vectors(run.base_release.encoder, training_rows(run.dataset).order_by().values("image"))
    progress("reading", 0.0, f"{len(rows)} labelled photos, starting from {run.base_release_id}")
    parameters = dict(run.parameters)
    manifest = (build or build_release)(
        made,
        base,
        _training_data(rows, vectors),
        kind=run.kind,
        seed=run.seed,
        teaching=_teaching(run, parameters.pop("distillation", None), progress),
        cache=vector_cache(),
        checkpoint=folder / workspace.CHECKPOINT,
        on_progress=lambda stage, fraction, message: progress(stage, _overall(stage, fraction), message),
        on_metrics=partial(_on_metrics, run, progress, tracker),
        should_stop=progress.should_stop,
        **parameters,
    )
    if progress.should_stop():
        raise Stopped
    return manifest


def _training_data(rows: Sequence[DatasetItem], vectors: Mapping[str, Floats]) -> TrainingData:
    return TrainingData(
        paths=[storage.path(row.image.stored_name) for row in rows],
        sha256s=[row.image.sha256 for row in rows],
        y=np.array([row.answer == "cataract" for row in rows], dtype=np.int64),
        clusters=np.array([row.cluster for row in rows], dtype=np.int64),
        splits=[row.split for row in rows],
        weights=np.array([row.weight for row in rows], dtype=np.float64),
        vectors=vectors,
    )


def _teaching(run: TrainingRun, asked: dict[str, float] | None, progress: Progress) -> Teaching | None:
    """The photos without a label that the base's accurate model may teach with, where the run asks for it."""
    if asked is None:
        return None
    photos = list(unlabelled_photos(run.created_at))
    progress.say(f"{len(photos)} photos without a label may be taught with.")
    paths = [storage.path(photo.stored_name) for photo in photos]
    return Teaching(paths, [photo.sha256 for photo in photos], weight=asked["weight"], floor=asked["floor"])


# Where each stage of a build begins and ends, as a share of the whole run.
_STAGES = {"reading": (0.0, 0.15), "fast": (0.15, 0.4), "accurate": (0.4, 0.8), "calibration": (0.8, 0.88)}


def _overall(stage: str, fraction: float) -> float:
    low, high = _STAGES.get(stage, (0.88, 0.9))
    return low + (high - low) * min(fraction, 1.0)


def _on_metrics(run: TrainingRun, progress: Progress, tracker: Tracker, values: dict[str, Any], step: int) -> None:
    """Of a trial or an epoch: MLflow gets all of it, the run's page and log one line."""
    if "trial" in values:
        stage, expected, line = "fast", run.parameters.get("trials", 20), f"trial {step + 1}"
        fraction = (step + 1) / expected
    else:
        stage, expected, line = "accurate", run.parameters.get("epochs", 40), f"epoch {step}"
        fit, fits = values.get("fit", 0), values.get("fits", 1)
        fraction = (fit + step / expected) / fits
        line += f" of fit {fit + 1} of {fits}" if fits > 1 else ""
    measured = ("log_loss", "roc_auc", "accuracy", "train_loss", "validation_loss")
    figures = ", ".join(f"{name.replace('_', ' ')} {values[name]:.3f}" for name in measured if name in values)
    progress(stage, _overall(stage, fraction), f"{line}, {figures}")
    progress.say(f"{line}: {figures}" + (", given up" if values.get("pruned") else ""))
    mlflow_log.tell_metrics(tracker, values, step)
    hit(f"training.{'trial' if stage == 'fast' else 'epoch'}")


def _register(folder: Path, manifest: Manifest, progress: Progress) -> Release:
    """The challenger's row. The same data, seed and code make the same release: then its row is there already."""
    progress("registering", 0.91, manifest.id)
    known = Release.objects.filter(pk=manifest.id).first()
    if known is not None:
        progress.say(f"The run made release {known.pk} again, file by file the same.")
        return known
    return store.register_release(folder=folder)


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
            on_progress=partial(_while_comparing, progress),
        )
    except Stopped:
        raise
    except Exception as error:
        _log.exception("The comparison of release %s failed", release.pk)
        progress.say(f"The comparison with the champion failed ({error}). Ask for it again on the release's page.")
        return None
    progress.say(f"Against {champion.pk}: {comparison.get_verdict_display()}.")
    return comparison


def _while_comparing(progress: Progress, stage: str, fraction: float, message: str) -> None:
    progress(stage, 0.92 + 0.07 * fraction, message)
    if progress.should_stop():
        raise Stopped


def _end_badly(run: TrainingRun, progress: Progress, tracker: Tracker, error: Exception) -> None:
    if progress.lost.is_set():
        return  # another worker has the run now, and its story
    if progress.cancelled.is_set():
        progress.say("Cancelled.")
        _finish(run, progress, tracker, TrainingRun.Status.CANCELLED, "KILLED")
        return
    message = progress.over_limit or _in_words(error)
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


def _newest(status: str) -> str:
    return Release.objects.filter(status=status).values_list("pk", flat=True).first() or ""
