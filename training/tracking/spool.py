"""What MLflow has not been told yet: a run is written to a spool first and delivered from there.

MLflow being down or hanging therefore never stops a training: the spool keeps what was not delivered, and the sweep
delivers it later. One spool is one file of JSON lines, `DATA_DIR/mlflow/spool/<training run>.jsonl`, with a small state
file beside it that counts what MLflow has.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from cataract.ml.release.manifest import write_json
from training.tracking.mlflow_client import connect, send

_log = logging.getLogger(__name__)


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
        client = connect()
        for event in events[state["delivered"] :]:
            send(client, event, state)
            state["delivered"] += 1
            write_json(self._state_path, state)
        if state["ended"]:
            self.path.unlink(missing_ok=True)
        return state

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)


def charts_folder(run_id: str) -> Path:
    """Where the charts of a run wait until MLflow has them."""
    return settings.DATA_DIR / "mlflow" / "spool" / f"{run_id}-charts"


def waiting() -> list[str]:
    """Ids of the training runs whose story is not all delivered, oldest first."""
    folder = settings.DATA_DIR / "mlflow" / "spool"
    paths = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    return [path.stem for path in paths]
