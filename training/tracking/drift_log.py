"""Logs what a look for drift found to MLflow."""

from collections.abc import Sequence
from typing import Any

from training.tracking.mlflow_client import connect, experiment, log_batch

Point = tuple[str, float, int, int]  # metric, value, time in milliseconds, step


def log_drift(*, release: str, run: str, points: Sequence[Point]) -> None:
    """Log these points to `run`, or, of a release that was not trained here, to a run of its own.

    Raises what MLflow raises.
    """
    client = connect()
    target = run or _own_run(client, release)
    log_batch(client, target, series=points)


def _own_run(client: Any, release: str) -> str:
    """The run of the drift of a release, created when there is none."""
    identity = experiment(client)
    found = client.search_runs([identity], filter_string=f"tags.drift_of = '{release}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    made = client.create_run(identity, run_name=f"drift of {release}", tags={"drift_of": release})
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)
