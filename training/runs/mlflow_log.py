"""MLflow records of a training run: its start, its trials and epochs, its release; and late deliveries."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings

from cataract.ml.release.manifest import write_json
from predictions.releases import store
from predictions.releases.models import Release
from training.comparison.chart_files import write_charts
from training.comparison.models import Comparison
from training.runs.models import TrainingRun
from training.tracking.spool import Spool, charts_folder, waiting
from training.tracking.tracker import Tracker


def log_start(tracker: Tracker, run: TrainingRun) -> None:
    """Log parameters, data, code and environment, and store the ids that MLflow gave in the run's row."""
    tracker.start(
        name=f"{run.kind} {run.created_at:%Y-%m-%d %H:%M}",
        params={"kind": run.kind, "seed": run.seed, "base": run.base_release_id, **run.parameters},
        tags={
            "training_run": str(run.pk),
            "dataset": run.dataset_id,
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "packages": ", ".join(_packages()),
            "reason": run.reason[:500],
        },
        dataset={"name": "confirmed labels", "fingerprint": run.dataset_id, "counts": run.dataset.counts},
    )
    state = tracker.spool.state
    TrainingRun.objects.filter(pk=run.pk).update(mlflow_run_id=state["run"], mlflow_experiment_id=state["experiment"])


def log_metrics(tracker: Tracker, values: Mapping[str, Any], step: int) -> None:
    """Log a trial of the search as a child run, an epoch as metrics of the run.

    Metrics of an out-of-fold fit carry the name of their fold.
    """
    if "trial" in values:
        numbers = {key: value for key, value in values.items() if key not in ("trial", "params")}
        tracker.trial(int(values["trial"]), values.get("params", {}), numbers, pruned=bool(values.get("pruned")))
        return
    fit, fits = values.get("fit", 0), values.get("fits", 1)
    losses = {name: value for name, value in values.items() if name not in ("epoch", "fit", "fits")}
    tracker.metrics(losses if fit == fits - 1 else {f"fold_{fit + 1}_{name}": v for name, v in losses.items()}, step)


def log_release(tracker: Tracker, release: Release, comparison: Comparison | None) -> None:
    """Log the release's files and metrics and the charts of its comparison, and enter it in the model registry."""
    tracker.artifact(store.folder_of(release), "release")
    tracker.metrics(release.metrics, 0)
    if comparison is not None:
        tracker.metrics(comparison.report["figures"]["challenger"], 0)
        folder = charts_folder(tracker.run_id)
        write_charts(folder, comparison.report)
        write_json(folder / "errors.json", _errors(comparison))
        tracker.artifact(folder, "evaluation")
    tracker.model(release.pk)


def _errors(comparison: Comparison) -> list[dict[str, Any]]:
    """The test photos that the challenger gets wrong, by id. MLflow gets no photo, so a purge need not rewrite it."""
    return [point for point in comparison.report["points"] if point["decision"] != point["truth"]]


def deliver_waiting() -> None:
    """Deliver the spools of runs that are not running. A spool without a run of this database is left alone."""
    for run_id in waiting():
        row = TrainingRun.objects.filter(pk=run_id).exclude(status=TrainingRun.Status.RUNNING)
        if not row.exists():
            continue
        spool = Spool(run_id)
        state = spool.deliver()
        row.update(mlflow_run_id=state["run"], mlflow_experiment_id=state["experiment"])
        if state["ended"]:
            spool.forget()


def _git_commit() -> str:
    command = ["git", "-C", str(settings.BASE_DIR), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _packages() -> list[str]:
    packages = []
    for name in ("numpy", "lightgbm", "onnxruntime", "optuna", "torch", "open_clip_torch", "scikit-learn"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return packages
