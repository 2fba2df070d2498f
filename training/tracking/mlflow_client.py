"""The only module that imports MLflow: runs, artefacts, the model registry and its aliases."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from filelock import FileLock

from cataract.ml.release.manifest import write_json

EXPERIMENT = "cataract"
MODEL = "cataract-cascade"
_log = logging.getLogger(__name__)

# Set before mlflow is imported: its own defaults wait for minutes, and it sends usage statistics.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def run_url(experiment_id: str, mlflow_run_id: str) -> str:
    """The URL of a run in the MLflow UI; empty until MLflow has the run."""
    if not mlflow_run_id:
        return ""
    return f"{settings.MLFLOW_UI_URL}/#/experiments/{experiment_id or 0}/runs/{mlflow_run_id}"


def reconcile_aliases(champion: str, challenger: str) -> bool:
    """Set MLflow's aliases to the releases that the database names; "" removes one. Returns whether any changed.

    Calls MLflow only when the aliases are not the ones last set. Raises what MLflow raises.
    """
    record = settings.DATA_DIR / "mlflow" / "aliases.json"
    wanted = {"champion": champion, "challenger": challenger}
    if record.is_file() and json.loads(record.read_text()) == wanted:
        return False
    client = connect()
    _registered(client)
    known = dict(client.get_registered_model(MODEL).aliases)
    for alias, release_id in wanted.items():
        version = version_of(client, release_id) if release_id else None
        if version is not None and str(known.get(alias)) != version:
            client.set_registered_model_alias(MODEL, alias, version)
        if version is None and alias in known:
            client.delete_registered_model_alias(MODEL, alias)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, wanted)
    return True


def make_store() -> None:
    """Create the tables of an embedded store before another program opens it. Raises what MLflow raises."""
    connect()


def connect() -> Any:
    """An MLflow client of the configured store. Raises what MLflow raises."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # MLflow creates and migrates its tables when a store is opened. Two processes that do so at once fail, and now and
    # then corrupt the store.
    lock = settings.DATA_DIR / "mlflow" / "store.lock"
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(lock):
        if settings.MLFLOW_TRACKING_URI.startswith("sqlite:///"):
            Path(settings.MLFLOW_TRACKING_URI.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=settings.MLFLOW_TRACKING_URI, registry_uri=settings.MLFLOW_TRACKING_URI)


def _registered(client: Any) -> None:
    if not client.search_registered_models(f"name='{MODEL}'"):
        client.create_registered_model(MODEL, description="The cascade: encoder, fast and accurate model, policy.")


def version_of(client: Any, release_id: str, *, run: str = "") -> str:
    """The version of the registered model for this release, created when there is none."""
    _registered(client)
    for version in client.search_model_versions(f"name='{MODEL}'"):
        if version.tags.get("release") == release_id:
            return str(version.version)
    source = (settings.RELEASE_DIR / release_id).resolve().as_uri()
    if run:
        source = f"{client.get_run(run).info.artifact_uri}/release"
    made = client.create_model_version(MODEL, source, run_id=run or None, tags={"release": release_id})
    return str(made.version)


def experiment(client: Any) -> str:
    """The id of the experiment, created when there is none."""
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    is_local = settings.MLFLOW_TRACKING_URI.startswith("sqlite:")
    location = settings.MLFLOW_ARTIFACT_DIR.resolve().as_uri() if is_local else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def send(client: Any, event: Mapping[str, Any], state: dict[str, Any]) -> None:
    """Send one event of a spool to MLflow; `state` receives the ids. Raises what MLflow raises."""
    if event["do"] == "start":
        _start(client, event, state)
        return
    run = state["run"]
    match event["do"]:
        case "metrics":
            _log_batch(client, run, metrics=event["values"], step=event["step"], at=event["at"])
        case "trial":
            _trial(client, event, state)
        case "artifact":
            _artifact(client, run, Path(event["path"]), event["under"])
        case "text":
            client.log_text(run, event["text"], event["name"])
        case "model":
            version_of(client, event["release"], run=run)
        case "end":
            client.set_terminated(run, status=event["status"], end_time=event["at"])
            state["ended"] = True


def _start(client: Any, event: Mapping[str, Any], state: dict[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if state["run"]:  # a resumed run continues its MLflow run
        client.update_run(state["run"], status="RUNNING")
        state["ended"] = False
        return
    state["experiment"] = experiment(client)
    run = client.create_run(state["experiment"], start_time=event["at"], run_name=event["name"], tags=event["tags"])
    state["run"] = run.info.run_id
    _log_batch(client, state["run"], params=event["params"])
    data = event["dataset"]
    entity = Dataset(
        name=data["name"],
        digest=data["fingerprint"][:36],
        source_type="database",
        source=json.dumps({"table": "training.Dataset", "fingerprint": data["fingerprint"]}),
        profile=json.dumps(data["counts"]),
    )
    client.log_inputs(state["run"], [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def _trial(client: Any, event: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    tags = {"mlflow.parentRunId": state["run"]}
    child = client.create_run(
        state["experiment"], start_time=event["at"], run_name=f"trial {event['number']}", tags=tags
    ).info.run_id
    _log_batch(client, child, params=event["params"], metrics=event["values"], at=event["at"])
    client.set_terminated(child, status="KILLED" if event.get("pruned") else "FINISHED", end_time=event["at"])


def _artifact(client: Any, run: str, path: Path, under: str) -> None:
    if path.is_dir():
        client.log_artifacts(run, str(path), under or None)
    elif path.is_file():
        client.log_artifact(run, str(path), under or None)
    else:
        _log.warning("An artefact of MLflow run %s no longer exists: %s", run, path.name)


def _log_batch(
    client: Any,
    run: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    step: int = 0,
    at: int = 0,
) -> None:
    from mlflow.entities import Metric, Param

    client.log_batch(
        run,
        metrics=[Metric(name, value, at, step) for name, value in (metrics or {}).items()],
        params=[Param(name, str(value)[:500]) for name, value in (params or {}).items()],
    )
