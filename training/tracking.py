"""MLflow, and nothing else imports it: a run's story is written to a spool first and delivered from there.

MLflow being down or hanging therefore never stops a training: the spool keeps what was not delivered, and the sweep
delivers it later. One spool is one file of JSON lines, `DATA_DIR/mlflow/spool/<training run>.jsonl`, with a small state
file beside it that counts what MLflow has. The web process must not call anything here but `run_url`.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from cataract.ml.release import write_json
from cataract.processes import in_turn

EXPERIMENT = "cataract"
MODEL = "cataract-cascade"
RETRY_SECONDS = 60
_log = logging.getLogger(__name__)

# Before mlflow is imported: its own defaults wait for minutes, and it reports usage to its makers.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Tracker:
    """What one training run tells MLflow. Every method returns soon, whatever MLflow does; no method raises for it.

    `say` receives one line for people when MLflow goes away and when it is back.
    """

    def __init__(self, run_id: str, say: Callable[[str], None]) -> None:
        self.run_id = run_id
        self.spool = Spool(run_id)
        self._say = say
        self._retry_at = 0.0
        self._down = False

    def start(
        self, *, name: str, params: Mapping[str, Any], tags: Mapping[str, str], dataset: Mapping[str, Any]
    ) -> None:
        self._add(do="start", name=name, params=dict(params), tags=dict(tags), dataset=dict(dataset))

    def params(self, values: Mapping[str, Any]) -> None:
        self._add(do="params", values=dict(values))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._add(do="metrics", values=_numbers(values), step=step)

    def trial(self, number: int, params: Mapping[str, Any], metrics: Mapping[str, Any], *, given_up: bool) -> None:
        """One trial of the search for the fast model: a child run, KILLED when it was given up half-way."""
        self._add(do="trial", number=number, params=dict(params), values=_numbers(metrics), given_up=given_up)

    def artifact(self, path: Path, under: str = "") -> None:
        """A file, or every file of a folder. It must stay where it is until it is delivered."""
        self._add(do="artifact", path=str(path), under=under)

    def text(self, name: str, text: str) -> None:
        self._add(do="text", name=name, text=text)

    def model(self, release_id: str) -> None:
        """Enter the release, whose files are below the artefact folder `release`, in the model registry."""
        self._add(do="model", release=release_id)

    def finish(self, status: str) -> None:
        """`status`: FINISHED, FAILED or KILLED (MLflow's words)."""
        self._retry_at = 0.0
        self._add(do="end", status=status)

    def _add(self, **event: Any) -> None:
        self.spool.append(event)
        if time.monotonic() < self._retry_at:
            return
        try:
            self.spool.deliver()
        except Exception as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not self._down:
                self._say(f"MLflow does not answer ({_first_line(error)}): its records wait and are delivered later.")
            self._down = True
        else:
            if self._down:
                self._say("MLflow is back; everything was delivered.")
            self._down = False


class Spool:
    """The undelivered story of one training run. At least once: a crash in the middle may repeat one event."""

    def __init__(self, run_id: str) -> None:
        folder = settings.DATA_DIR / "mlflow" / "spool"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{run_id}.jsonl"
        self._state_path = folder / f"{run_id}.json"

    @property
    def state(self) -> dict[str, Any]:
        """`delivered`: events that MLflow has; `run`, `experiment`: its ids; `ended`."""
        try:
            return dict(json.loads(self._state_path.read_text()))
        except (OSError, ValueError):
            return {"delivered": 0, "run": "", "experiment": "", "ended": False}

    def append(self, event: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": int(time.time() * 1000), **event}) + "\n")

    def deliver(self) -> dict[str, Any]:
        """Send what MLflow does not have yet, in order; remove the spool after its end. Raises what MLflow raises."""
        events = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        state = self.state
        client = _client()
        for event in events[state["delivered"] :]:
            _send(client, event, state)
            state["delivered"] += 1
            write_json(self._state_path, state)
        if state["ended"]:
            self.path.unlink(missing_ok=True)
        return state

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)


def plots_folder(run_id: str) -> Path:
    """Where the plots of a run wait until MLflow has them."""
    return settings.DATA_DIR / "mlflow" / "spool" / f"{run_id}-plots"


def waiting() -> list[str]:
    """Ids of the training runs whose story is not all delivered, oldest first."""
    folder = settings.DATA_DIR / "mlflow" / "spool"
    paths = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    return [path.stem for path in paths]


def run_url(experiment_id: str, mlflow_run_id: str) -> str:
    """The address of a run in the MLflow pages; empty when MLflow does not know it yet."""
    if not mlflow_run_id:
        return ""
    return f"{settings.MLFLOW_UI_URL}/#/experiments/{experiment_id or 0}/runs/{mlflow_run_id}"


def reconcile_aliases(champion: str, challenger: str) -> bool:
    """Make MLflow's aliases name the releases that the database names; "" removes one. True when something changed.

    Asks MLflow only when the wanted aliases are not the ones last set. Raises what MLflow raises.
    """
    record = settings.DATA_DIR / "mlflow" / "aliases.json"
    wanted = {"champion": champion, "challenger": challenger}
    if record.is_file() and json.loads(record.read_text()) == wanted:
        return False
    client = _client()
    _registered(client)
    known = dict(client.get_registered_model(MODEL).aliases)
    for alias, release_id in wanted.items():
        version = _version_of(client, release_id) if release_id else None
        if version is not None and str(known.get(alias)) != version:
            client.set_registered_model_alias(MODEL, alias, version)
        if version is None and alias in known:
            client.delete_registered_model_alias(MODEL, alias)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, wanted)
    return True


def make_store() -> None:
    """Make the tables of an embedded store, before another program opens it. Raises what MLflow raises."""
    _client()


def _client() -> Any:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # MLflow makes and migrates its tables when a store is opened; two processes that do so at once break each other,
    # and now and then the store for good.
    with in_turn(settings.DATA_DIR / "mlflow" / "store.lock"):
        if settings.MLFLOW_TRACKING_URI.startswith("sqlite:///"):
            Path(settings.MLFLOW_TRACKING_URI.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=settings.MLFLOW_TRACKING_URI, registry_uri=settings.MLFLOW_TRACKING_URI)


def _experiment(client: Any) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    local = settings.MLFLOW_TRACKING_URI.startswith("sqlite:")
    where = settings.MLFLOW_ARTIFACT_DIR.resolve().as_uri() if local else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=where))


def _send(client: Any, event: Mapping[str, Any], state: dict[str, Any]) -> None:
    """Tell MLflow one event; `state` receives the ids."""
    if event["do"] == "start":
        _start(client, event, state)
        return
    run = state["run"]
    match event["do"]:
        case "params":
            _log_batch(client, run, params=event["values"])
        case "metrics":
            _log_batch(client, run, metrics=event["values"], step=event["step"], at=event["at"])
        case "trial":
            _trial(client, event, state)
        case "artifact":
            _artifact(client, run, Path(event["path"]), event["under"])
        case "text":
            client.log_text(run, event["text"], event["name"])
        case "model":
            _version_of(client, event["release"], run=run)
        case "end":
            client.set_terminated(run, status=event["status"], end_time=event["at"])
            state["ended"] = True


def _start(client: Any, event: Mapping[str, Any], state: dict[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if state["run"]:  # a resumed run goes on in the MLflow run it had
        client.update_run(state["run"], status="RUNNING")
        state["ended"] = False
        return
    state["experiment"] = _experiment(client)
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
    client.set_terminated(child, status="KILLED" if event.get("given_up") else "FINISHED", end_time=event["at"])


def _artifact(client: Any, run: str, path: Path, under: str) -> None:
    if path.is_dir():
        client.log_artifacts(run, str(path), under or None)
    elif path.is_file():
        client.log_artifact(run, str(path), under or None)
    else:
        _log.warning("An artefact of MLflow run %s is gone: %s", run, path.name)


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


def _registered(client: Any) -> None:
    if not client.search_registered_models(f"name='{MODEL}'"):
        client.create_registered_model(MODEL, description="The cascade: encoder, fast and accurate model, policy.")


def _version_of(client: Any, release_id: str, *, run: str = "") -> str:
    """The version of the registered model that is this release, made when there is none."""
    _registered(client)
    for version in client.search_model_versions(f"name='{MODEL}'"):
        if version.tags.get("release") == release_id:
            return str(version.version)
    source = (settings.RELEASE_DIR / release_id).resolve().as_uri()
    if run:
        source = f"{client.get_run(run).info.artifact_uri}/release"
    made = client.create_model_version(MODEL, source, run_id=run or None, tags={"release": release_id})
    return str(made.version)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a mapping, nested ones under "outer.inner"; MLflow takes nothing else as a metric."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": number for inner, number in _numbers(value).items()})
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
            flat[str(name)] = float(value)
    return flat


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
