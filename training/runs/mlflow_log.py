"""MLflow records of a training run: its start, its trials and epochs, its release; and late deliveries.

The name of a metric says on which photos it was measured: `cv_` (cross-validation), `held_out_` (by models that have
not seen the photo), `test_` (the frozen test photos).
"""

import base64
import json
import logging
import platform
import shutil
import statistics
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cataract.ml.release.commit import code_commit
from cataract.ml.release.manifest import write_json
from predictions.releases import store
from predictions.releases.models import Release
from training.comparison.chart_files import write_charts
from training.comparison.models import Comparison
from training.runs.models import TrainingRun
from training.tracking.dataset_rows import ROWS, write_rows
from training.tracking.metric_names import as_metrics
from training.tracking.model_folder import requirements
from training.tracking.spool import Spool, run_folder, waiting
from training.tracking.tracker import Tracker

_log = logging.getLogger(__name__)


def log_start(tracker: Tracker, run: TrainingRun) -> None:
    """Log parameters, data, code and environment, and store the ids that MLflow gave in the run's row."""
    commit = code_commit()
    tracker.start(
        name=f"{run.kind} {run.created_at:%Y-%m-%d %H:%M}",
        params={"kind": run.kind, "seed": run.seed, "base": run.base_release_id, **run.parameters},
        tags={
            "training_run": str(run.pk),
            "dataset": run.dataset_id,
            "git_commit": commit,
            "mlflow.source.git.commit": commit.removesuffix("+changes"),
            "mlflow.source.name": "cataract",
            "python": platform.python_version(),
            "packages": ", ".join(_packages()),
            "reason": run.reason[:500],
        },
        dataset={
            "name": "confirmed labels",
            "fingerprint": run.dataset_id,
            "counts": run.dataset.counts,
            "rows": ROWS,
        },
    )
    folder = run_folder(tracker.run_id)
    items = run.dataset.items.order_by("image__sha256")
    write_rows(folder / ROWS, items.values_list("image__sha256", "answer", "split", "cluster", "weight").iterator())
    (folder / "requirements.txt").write_text("\n".join(requirements()) + "\n", encoding="utf-8")
    tracker.artifact(folder / ROWS, str(Path(ROWS).parent))
    tracker.artifact(folder / "requirements.txt")
    state = tracker.spool.state
    TrainingRun.objects.filter(pk=run.pk).update(mlflow_run_id=state["run"], mlflow_experiment_id=state["experiment"])


def log_metrics(tracker: Tracker, values: Mapping[str, Any], step: int) -> None:
    """Log a trial of the search as a child run, a point of a learning curve or an epoch as metrics of the run.

    Metrics of an out-of-fold fit carry the name of their fold.
    """
    if "trial" in values:
        _log_trial(tracker, values)
        return
    if "trees" in values:
        tracker.metrics({f"fast_{name}": value for name, value in values.items() if name != "trees"}, step)
        return
    fit, fits = values.get("fit", 0), values.get("fits", 1)
    losses = {name: value for name, value in values.items() if name not in ("epoch", "fit", "fits")}
    of_fold = "" if fit == fits - 1 else f"fold_{fit + 1}_"
    tracker.metrics({f"accurate_{of_fold}{name}": value for name, value in losses.items()}, step)


def _log_trial(tracker: Tracker, values: Mapping[str, Any]) -> None:
    """A finished trial has `cv_` figures; a pruned one, which saw fewer folds, has a loss of another name.

    The run itself gets the figures of the best trial so far: what was chosen, and over the steps how the search went.
    """
    number, pruned = int(values["trial"]), bool(values.get("pruned"))
    losses = [float(loss) for loss in values.get("fold_losses", ())]
    figures = {name: values[name] for name in ("log_loss", "roc_auc", "accuracy") if name in values}
    if len(losses) > 1:
        figures["log_loss_sd"] = statistics.stdev(losses)
    named = {f"{'pruned' if pruned else 'cv'}_{name}": value for name, value in figures.items()}
    tracker.trial(
        number,
        values.get("params", {}),
        named,
        steps={"fold_log_loss": list(enumerate(losses, start=1))},
        seconds=float(values.get("seconds", 0.0)),
        pruned=pruned,
    )
    if values.get("is_best"):
        tracker.metrics(named, number)
        tracker.tags({"best_trial": str(number), "best_params": json.dumps(values.get("params", {}))})


def log_release(tracker: Tracker, release: Release) -> None:
    """Log the release as the run's model, enter it in the model registry, and log its figures on held-out photos."""
    folder = store.folder_of(release)
    tracker.tags({"release": release.pk})
    tracker.metrics(held_out_metrics(folder, release), 0)
    samples = run_folder(tracker.run_id) / "samples"
    write_samples(samples, folder)
    tracker.artifact(samples, "samples")
    if (folder / "card.md").is_file():
        tracker.artifact(folder / "card.md")
    tracker.model(release.pk, folder)


def log_comparison(tracker: Tracker, comparison: Comparison) -> None:
    """Log the figures of a comparison on the test photos, its charts, and the photos that the release gets wrong."""
    tracker.metrics(test_metrics(comparison.report), 0)
    folder = run_folder(tracker.run_id) / "evaluation"
    write_charts(folder, comparison.report)
    write_json(folder / "errors.json", _errors(comparison))
    tracker.artifact(folder, "evaluation")


def held_out_metrics(folder: Path, release: Release) -> dict[str, float]:
    """The figures of metrics.json, where the release has one, else those of its manifest."""
    path = folder / "metrics.json"
    figures = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else release.metrics
    return as_metrics(figures, "held_out")


def test_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """The challenger's figures on the test photos, each with its interval and n."""
    measured = report.get("measures", {}).get("challenger", {})  # older comparisons have none
    found = as_metrics(report["figures"]["challenger"], "test") | as_metrics(report["n"], "test_n")
    return found | as_metrics(measured, "test") | {"test_n": float(len(report["points"]))}


def write_samples(folder: Path, release: Path) -> None:
    """The drawn eyes of golden.json as PNG files, and the release's answers to them. Never a patient's photo."""
    path = release / "golden.json"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.is_file() else []
    for case in cases:
        (folder / f"{case['name']}.png").write_bytes(base64.b64decode(case["png"]))
    write_json(folder / "answers.json", {case["name"]: case["expect"] for case in cases})


def _errors(comparison: Comparison) -> list[dict[str, Any]]:
    """The test photos that the challenger gets wrong, by id. MLflow gets no photo, so a purge need not rewrite it."""
    return [point for point in comparison.report["points"] if point["decision"] != point["truth"]]


def deliver_waiting() -> None:
    """Deliver the spools of runs that are not running. A spool without a run of this database is left alone.

    One that MLflow refuses does not hold up the others. Raises what MLflow raised last.
    """
    failure: Exception | None = None
    for run_id in waiting():
        row = TrainingRun.objects.filter(pk=run_id).exclude(status=TrainingRun.Status.RUNNING)
        if not row.exists():
            continue
        spool = Spool(run_id)
        try:
            state = spool.deliver()
        except Exception as error:
            _log.warning("The MLflow record of training run %s waits: %s", run_id, error)
            failure = error
            continue
        row.update(mlflow_run_id=state["run"], mlflow_experiment_id=state["experiment"])
        if state["ended"]:
            spool.forget()
    if failure is not None:
        raise failure


def _packages() -> list[str]:
    packages = []
    for name in ("numpy", "lightgbm", "onnxruntime", "optuna", "torch", "open_clip_torch", "scikit-learn"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return packages
