"""The events of a training run's spool, each as calls of MLflow."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.tracking.mlflow_client import experiment, find_run, log_artifact, log_batch, restore_run
from training.tracking.registry import log_model, version_with_run

NEW: dict[str, Any] = {"delivered": 0, "run": "", "experiment": "", "ended": False}
_COLUMNS = {"sha256": "string", "label": "string", "split": "string", "cluster": "long", "weight": "double"}


def send(client: Any, event: Mapping[str, Any], state: dict[str, Any]) -> None:
    """Send one event of a spool to MLflow; `state` receives the ids. Raises what MLflow raises."""
    if event["do"] == "start":
        _start(client, event, state)
        return
    run = state["run"]
    match event["do"]:
        case "metrics":
            log_batch(client, run, metrics=event["values"], step=event["step"], at=event["at"])
        case "series":
            log_batch(client, run, series=event["points"])
        case "tags":
            log_batch(client, run, tags=event["tags"])
        case "trial":
            _trial(client, event, state)
        case "artifact":
            log_artifact(client, run, Path(event["path"]), event["under"])
        case "text":
            client.log_text(run, event["text"], event["name"])
        case "model":
            if log_model(client, run, Path(event["folder"])):
                version_with_run(client, event["release"], run)
        case "end":
            client.set_terminated(run, status=event["status"], end_time=event["at"])
            state["ended"] = True


def revive(client: Any, state: dict[str, Any]) -> bool:
    """Bring back a run that was deleted by hand, or let `state` begin again where it is gone; whether it was either."""
    if not state["run"]:
        return False
    run = find_run(client, state["run"])
    if run is None:
        state.update(NEW)
        return True
    return restore_run(client, run)


def _start(client: Any, event: Mapping[str, Any], state: dict[str, Any]) -> None:
    if state["run"]:  # a resumed run continues its MLflow run
        client.update_run(state["run"], status="RUNNING")
        state["ended"] = False
        return
    state["experiment"] = experiment(client)
    run = client.create_run(state["experiment"], start_time=event["at"], run_name=event["name"], tags=event["tags"])
    state["run"] = run.info.run_id
    log_batch(client, state["run"], params=event["params"])
    _log_datasets(client, state["run"], event)


def _log_datasets(client: Any, run: str, event: Mapping[str, Any]) -> None:
    """Each split of the dataset as an input of the run, in its own context."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = event["dataset"]
    source = json.dumps({"table": "training.Dataset", "fingerprint": data["fingerprint"], "artifact": data["rows"]})
    schema = json.dumps({"mlflow_colspec": [{"name": name, "type": kind} for name, kind in _COLUMNS.items()]})
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{data['name']}, {split}",
                digest=data["fingerprint"][:36],
                source_type="database",
                source=source,
                schema=schema,
                profile=json.dumps(counts),
            ),
            [InputTag("mlflow.data.context", split)],
        )
        for split, counts in data["counts"].items()
    ]
    client.log_inputs(run, inputs)


def _trial(client: Any, event: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    status = "pruned" if event["pruned"] else "finished"
    child = client.create_run(
        state["experiment"],
        start_time=event["at"] - round(1000 * event["seconds"]),
        run_name=f"trial {event['number']}",
        tags={"mlflow.parentRunId": state["run"], "status": status, "trial": str(event["number"])},
    ).info.run_id
    steps = [(name, value, event["at"], step) for name, values in event["steps"].items() for step, value in values]
    log_batch(client, child, params=event["params"], metrics=event["values"], series=steps, at=event["at"])
    client.set_terminated(child, status="KILLED" if event["pruned"] else "FINISHED", end_time=event["at"])
