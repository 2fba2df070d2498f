"""What a training worker does with a run: claim, build, register, compare, finish. And the sweep of lost runs."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from cataract.core.errors import ADD_TRAINING_SET
from cataract.ml.labels import CATARACT
from cataract.ml.learn.build.build import LightInstall, build_release
from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.build.data_warnings import count_warnings
from cataract.ml.learn.build.distillation import Distillation
from cataract.ml.learn.build.verdict import Difference
from cataract.ml.learn.reporter import Cancelled, Reporter
from cataract.ml.release.manifest import MANIFEST, Manifest, verify
from predictions.photos import storage
from predictions.releases import signing, store
from predictions.releases.models import Release
from training.comparison.models import Comparison
from training.comparison.worker import compare
from training.datasets.selectors import training_rows, unlabelled_photos
from training.datasets.vectors import stored_vectors, vector_cache
from training.label_checks.worker import fail_lost_checks
from training.runs import mlflow_log, mlflow_registry
from training.runs.attempt_folder import CHECKPOINT, RELEASE, attempt_folder, remove_leftovers
from training.runs.models import TrainingRun
from training.runs.parameters import promise_in_words
from training.runs.reporter import RunReporter

UNCLAIMED_SECONDS = 30
MAX_ATTEMPTS = 5
_log = logging.getLogger(__name__)

Build = Callable[[Path, Path, TrainingData, BuildConfig, Reporter], Manifest]


def run(run_id: str, *, build: Build | None = None) -> None:
    """Train one queued run to its end. Safe to deliver twice: only one delivery claims it.

    build: in place of `build_release`.
    """
    claimed = _claim(run_id)
    if claimed is None:
        return
    reporter = RunReporter(claimed)
    with reporter.beating(), bound_contextvars(training_run=str(claimed.pk)):
        try:
            with attempt_folder(claimed) as folder:
                mlflow_log.log_start(reporter.tracker, claimed)
                manifest = _build(claimed, folder, reporter, build or build_release)
                release = _register(folder / RELEASE, manifest, reporter)
                mlflow_log.log_release(reporter.tracker, release)
                comparison = _compare(claimed, release, reporter)
                if comparison is not None:
                    mlflow_log.log_comparison(reporter.tracker, comparison)
                reporter.beat()
                reporter.check_stop()
        except Exception as error:
            _fail(claimed, reporter, error)
            return
    reporter.log("Succeeded.")
    _finish(reporter, TrainingRun.Status.SUCCEEDED, "FINISHED", release=release, percent=100)


def sweep(*, publish: Callable[[str], Any]) -> None:
    """Set silent runs INTERRUPTED, resume those that may, `publish` the unclaimed, and deliver what MLflow missed."""
    now = timezone.now()
    silent = TrainingRun.objects.in_status(TrainingRun.Status.RUNNING)
    too_old = now - timedelta(seconds=settings.TRAINING_SILENT_SECONDS)
    silent.filter(heartbeat_at__lt=too_old).move(TrainingRun.Status.INTERRUPTED)
    _resume_interrupted()
    queued = TrainingRun.objects.in_status(TrainingRun.Status.QUEUED)
    queued.filter(attempts__gte=MAX_ATTEMPTS).move(
        TrainingRun.Status.FAILED,
        finished_at=now,
        error=f"Its worker was lost {MAX_ATTEMPTS} times. Check the memory of the worker.",
    )
    unclaimed = queued.filter(created_at__lt=now - timedelta(seconds=UNCLAIMED_SECONDS))
    for run_id in unclaimed.values_list("pk", flat=True):
        publish(str(run_id))
    remove_leftovers()
    fail_lost_checks()
    mlflow_registry.bring_up_to_date()


def _resume_interrupted() -> None:
    """Queue interrupted runs again, each TRAINING_RESUMES times at most: one that kills its worker ends there."""
    interrupted = TrainingRun.objects.in_status(TrainingRun.Status.INTERRUPTED)
    for run in interrupted.filter(attempts__lte=settings.TRAINING_RESUMES):
        try:
            with transaction.atomic():
                if TrainingRun.objects.filter(pk=run.pk).move(TrainingRun.Status.QUEUED, cancel_requested=False):
                    _log.warning("Training run %s lost its worker; it resumes from its checkpoint.", run.pk)
        except IntegrityError:  # another run of its model was started meanwhile: a person decides
            continue


def _claim(run_id: str) -> TrainingRun | None:
    """This worker's run; None when another worker has it or it is over."""
    queued = TrainingRun.objects.filter(pk=run_id, attempts__lt=MAX_ATTEMPTS).in_status(TrainingRun.Status.QUEUED)
    now = timezone.now()
    if not queued.move(
        TrainingRun.Status.RUNNING, attempts=F("attempts") + 1, started_at=now, heartbeat_at=now, error=""
    ):
        return None
    return TrainingRun.objects.select_related("dataset", "base_release").get(pk=run_id)


def _build(run: TrainingRun, folder: Path, reporter: RunReporter, build: Build) -> Manifest:
    """Build the release, or take the one that an earlier attempt finished before it was killed."""
    out_dir = folder / RELEASE
    reporter.check_stop()
    if run.attempts > 1:
        reporter.log(f"Attempt {run.attempts}: resuming from the checkpoint.")
    if (out_dir / MANIFEST).exists():
        reporter.log("The last attempt finished the release; it is verified and registered.")
        return verify(out_dir)
    base = store.folder_of(run.base_release)
    verify(base, sha256=run.base_release.manifest_sha256)
    signing.check(base)
    data = _training_data(run)
    for warning in count_warnings(*(len(np.unique(data.clusters[data.y == label])) for label in (0, 1))):
        reporter.log(warning)
    promise = promise_in_words(run.parameters, run.base_release.manifest.get("policy") or {})
    reporter.log(f"Promise: {'; '.join(promise)}.")
    reporter.progress("reading", 0.0, f"{len(data.paths)} labelled photos, starting from {run.base_release_id}")
    manifest = build(out_dir, base, data, _config(run, folder, reporter), reporter)
    reporter.check_stop()
    return manifest


def _training_data(run: TrainingRun) -> TrainingData:
    rows = list(training_rows(run.dataset))
    return TrainingData(
        paths=storage.local_paths([row.image.stored_name for row in rows]),
        sha256s=[row.image.sha256 for row in rows],
        y=np.array([row.answer == CATARACT for row in rows], dtype=np.int64),
        clusters=np.array([row.cluster for row in rows], dtype=np.int64),
        splits=[row.split for row in rows],
        weights=np.array([row.weight for row in rows], dtype=np.float64),
        vectors=stored_vectors(run.base_release.encoder, training_rows(run.dataset).order_by().values("image")),
        calibration=run.dataset.calibration_source,
    )


def _config(run: TrainingRun, folder: Path, reporter: RunReporter) -> BuildConfig:
    parameters = dict(run.parameters)
    parameters.pop("max_error", None)  # of a run that an earlier version queued
    distillation: dict[str, float] | None = parameters.pop("distillation", None)
    photos = None
    if distillation is not None:
        photos = _distillation(run, distillation)
        reporter.log(f"Photos without a label for distillation: {len(photos.paths)}.")
    return BuildConfig(
        kind=run.kind,
        seed=run.seed,
        distillation=photos,
        cache=vector_cache(),
        checkpoint=folder / CHECKPOINT,
        device=settings.TRAINING_DEVICE,
        **parameters,
    )


def _distillation(run: TrainingRun, parameters: dict[str, float]) -> Distillation:
    """The photos without a label that the base's accurate model may label."""
    photos = list(unlabelled_photos(run.created_at))
    paths = storage.local_paths([photo.stored_name for photo in photos])
    return Distillation(paths, [photo.sha256 for photo in photos], parameters["weight"], parameters["floor"])


def _register(folder: Path, manifest: Manifest, reporter: RunReporter) -> Release:
    """The challenger's row. The same data, seed and code make the same release: its row exists then."""
    reporter.progress("registering", 1.0, manifest.id)
    known = Release.objects.filter(pk=manifest.id).first()
    if known is not None:
        reporter.log(f"The run made release {known.pk} again, identical in every file.")
        return known
    for warning in manifest.data.get("warnings", []):
        reporter.log(warning)
    against_base = manifest.data.get("against_base") or {}
    rejection = against_base.get("reason", "")
    for name in ("own", "remembered"):
        if against_base.get(name):
            reporter.log(f"Against its base, {_PHOTOS[name]}: {Difference(**against_base[name]).words()}.")
    if rejection:
        reporter.log(f"Rejected. {rejection}")
    return store.register_release(folder=folder, rejection=rejection)


_PHOTOS = {"own": "on this installation's photos", "remembered": "on the public photos that the base remembers"}


def _compare(run: TrainingRun, release: Release, reporter: RunReporter) -> Comparison | None:
    """Compare with the champion: without that evidence the release cannot be promoted. Raises Cancelled."""
    champion = Release.objects.champions().exclude(pk=release.pk).first()
    if champion is None:
        return None
    try:
        comparison = compare(challenger=release, champion=champion, dataset=run.dataset, reporter=reporter)
    except Cancelled:
        raise
    except Exception as error:
        _log.exception("The comparison of release %s failed", release.pk)
        reporter.log(f"The comparison with the champion failed ({error}). Repeat it on the release's page.")
        return None
    reporter.log(f"Against {champion.pk}: {comparison.get_verdict_display()}.")
    return comparison


def _fail(run: TrainingRun, reporter: RunReporter, error: Exception) -> None:
    """End the run as cancelled or failed, unless another worker has it now."""
    if reporter.lost.is_set():
        return
    if reporter.cancelled.is_set():
        reporter.log("Cancelled.")
        _finish(reporter, TrainingRun.Status.CANCELLED, "KILLED")
        return
    message = reporter.over_limit or _describe(error)
    _log.error("Training run %s failed", run.pk, exc_info=error)
    reporter.log(f"Failed: {message}")
    _finish(reporter, TrainingRun.Status.FAILED, "FAILED", error=message)


def _finish(reporter: RunReporter, status: str, mlflow_status: str, **values: Any) -> None:
    """End the run's row and its MLflow run."""
    tracker = reporter.tracker
    reporter.log_usage()
    tracker.text("log.txt", reporter.text())
    tracker.finish(mlflow_status)
    state = tracker.spool.state
    reporter.rows().move(
        status,
        finished_at=timezone.now(),
        heartbeat_at=timezone.now(),
        eta_seconds=None,
        log=reporter.text(),
        mlflow_run_id=state["run"],
        mlflow_experiment_id=state["experiment"],
        **values,
    )
    if state["ended"]:
        tracker.spool.forget()


def _describe(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, LightInstall):
        return f"{text} {ADD_TRAINING_SET}, or train the fast model only."
    return text if text else f"{type(error).__name__}, without a message. The worker's log has the details."
