"""The connection to MLflow: the client, its experiments, one batch of a run; and the addresses of its pages."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from filelock import FileLock

from training.tracking import store

EXPERIMENT = "cataract"
MODEL = "cataract-cascade"
# MLflow's pages open in the view for language models unless the address asks for the one with runs and metrics.
_CLASSIC = "?workflowType=machine_learning"
_log = logging.getLogger(__name__)

# Set before mlflow is imported: its own defaults wait for minutes, and it sends usage statistics.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def home_url() -> str:
    """The list of experiments in the MLflow UI."""
    return f"{settings.MLFLOW_UI_URL}/#/experiments{_CLASSIC}"


def run_url(experiment_id: str, mlflow_run_id: str) -> str:
    """The URL of a run in the MLflow UI; empty until MLflow has the run."""
    if not mlflow_run_id:
        return ""
    return f"{settings.MLFLOW_UI_URL}/#/experiments/{experiment_id or 0}/runs/{mlflow_run_id}{_CLASSIC}"


def version_url(version: str) -> str:
    """The URL of a version of the registered model in the MLflow UI."""
    return f"{settings.MLFLOW_UI_URL}/#/models/{MODEL}/versions/{version}{_CLASSIC}"


def is_remote() -> bool:
    """Whether MLflow runs elsewhere, behind HTTP; else this installation keeps the store itself."""
    return str(settings.MLFLOW_TRACKING_URI).startswith(("http://", "https://"))


def has_store() -> bool:
    """Whether there is a store to write to without making one."""
    uri = str(settings.MLFLOW_TRACKING_URI)
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).is_file()


def make_store() -> None:
    """Create the tables of an embedded store before another program opens it. Raises what MLflow raises."""
    connect()


def connect() -> Any:
    """An MLflow client of the configured store. Raises what MLflow raises."""
    prepare()
    from mlflow import MlflowClient

    # MLflow creates its tables when a store is opened. Two processes that do so at once fail, and now and then corrupt
    # the store.
    lock = settings.DATA_DIR / "mlflow" / "store.lock"
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(lock):
        if settings.MLFLOW_TRACKING_URI.startswith("sqlite:///"):
            Path(settings.MLFLOW_TRACKING_URI.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            _bring_store_up_to_date(settings.MLFLOW_TRACKING_URI, settings.MLFLOW_ARTIFACT_DIR)
        return MlflowClient(tracking_uri=settings.MLFLOW_TRACKING_URI, registry_uri=settings.MLFLOW_TRACKING_URI)


@cache
def _bring_store_up_to_date(_uri: str, _artifacts: Path) -> None:
    """Once a process: neither the folder nor the installed MLflow changes under a running one."""
    path = store.store_path()
    if path is not None:
        store.bring_up_to_date(path)


def prepare() -> None:
    """Set what MLflow reads from the environment, before it is imported; what is set already stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def experiment(client: Any, name: str = EXPERIMENT) -> str:
    """The id of an experiment: made when there is none, restored when it was deleted."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if is_remote() else settings.MLFLOW_ARTIFACT_DIR.resolve().as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, artifact_location=location, tags=tags))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def find_run(client: Any, run_id: str) -> Any | None:
    """A run by its id, also a deleted one; None where MLflow has none. Raises when MLflow does not answer."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def restore_run(client: Any, run: Any) -> bool:
    """Bring a run back that was deleted, its experiment first; whether it was."""
    if client.get_experiment(run.info.experiment_id).lifecycle_stage == "deleted":
        client.restore_experiment(run.info.experiment_id)
        run = client.get_run(run.info.run_id)
        if run.info.lifecycle_stage != "deleted":
            return True
    if run.info.lifecycle_stage != "deleted":
        return False
    client.restore_run(run.info.run_id)
    return True


def log_batch(
    client: Any,
    run: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    series: Sequence[tuple[str, float, int, int]] = (),
    tags: Mapping[str, str] | None = None,
    step: int = 0,
    at: int = 0,
) -> None:
    """Log to one run, as few calls as MLflow allows. series: (name, value, milliseconds since 1970, step)."""
    from mlflow.entities import Metric, Param, RunTag

    points = [Metric(name, value, at, step) for name, value in (metrics or {}).items()]
    points += [Metric(*point) for point in series]
    client.log_batch(
        run,
        metrics=points[:_MOST_METRICS],
        params=[Param(name, str(value)[:500]) for name, value in (params or {}).items()],
        tags=[RunTag(name, str(value)[:5000]) for name, value in (tags or {}).items()],
    )
    for start in range(_MOST_METRICS, len(points), _MOST_METRICS):
        client.log_batch(run, metrics=points[start : start + _MOST_METRICS])


_MOST_METRICS = 800  # one call takes 1,000 entries, params and tags included


def log_artifact(client: Any, run: str, path: Path, under: str = "") -> None:
    """A file, or every file of a folder, as artefacts of a run. One that is gone is logged as a warning."""
    if path.is_dir():
        client.log_artifacts(run, str(path), under or None)
    elif path.is_file():
        client.log_artifact(run, str(path), under or None)
    else:
        _log.warning("An artefact of MLflow run %s no longer exists: %s", run, path.name)
