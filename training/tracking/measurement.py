"""What a command measured, as an MLflow run of its own: `evaluate`, `bench` and `load` with `--mlflow`."""

import json
from collections.abc import Mapping
from typing import Any

from cataract.ml.release.commit import code_commit
from training.tracking.metric_names import as_metrics
from training.tracking.mlflow_client import EXPERIMENT, connect, experiment, log_batch, run_url
from training.tracking.models import RegisteredVersion

MLFLOW_OPTION = "also record the result as a run in MLflow"


class NotRecorded(Exception):
    """MLflow did not take the result; the message is for a person."""


def record(
    command: str,
    *,
    name: str,
    figures: Mapping[str, Any],
    params: Mapping[str, Any],
    result: Any,
    release: str = "",
    data: Mapping[str, str] | None = None,
) -> str:
    """Record a result in the experiment of `command`, linked to the version of `release`; return the URL of its run.

    figures: as `as_metrics` takes them. result: as JSON, the artefact result.json. data: name and digest of the photos
    that it was measured on. Raises NotRecorded.
    """
    tags = {"command": command, "git_commit": code_commit(), "release": release}
    tags["mlflow.source.git.commit"] = code_commit().removesuffix("+changes")
    version = RegisteredVersion.objects.filter(release=release).first()
    if version is not None:
        tags |= {"model_version": version.version, "release_run": version.mlflow_run_id}
    try:
        client = connect()
        place = experiment(client, f"{EXPERIMENT}-{command}")
        run = client.create_run(place, run_name=name, tags=tags).info.run_id
        log_batch(client, run, params=params, metrics=as_metrics(figures))
        if data is not None:
            _log_data(client, run, data)
        client.log_text(run, json.dumps(result, indent=1), "result.json")
        client.set_terminated(run)
    except Exception as error:
        raise NotRecorded(f"MLflow did not take the result: {error}") from error
    return run_url(place, run)


def _log_data(client: Any, run: str, data: Mapping[str, str]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"folder": data["name"]})
    entity = Dataset(name=data["name"], digest=data["digest"][:36], source_type="local", source=source)
    client.log_inputs(run, [DatasetInput(entity, [InputTag("mlflow.data.context", "evaluation")])])
