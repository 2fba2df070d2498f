"""The spool of events for MLflow: a training run writes them here first, and they are delivered from here.

So an MLflow that is down or hangs never stops a training: the sweep delivers later. A spool is one file of JSON lines,
`DATA_DIR/mlflow/spool/<training run>.jsonl`, with a small state file beside it that counts the delivered events.
"""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from cataract.ml.release.manifest import write_json
from training.tracking.events import NEW, revive, send
from training.tracking.mlflow_client import connect


class Spool:
    """The events of one training run. Delivered at least once: a crash in the middle may repeat one event."""

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
            return dict(NEW)

    def append(self, event: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": int(time.time() * 1000), **event}) + "\n")

    def deliver(self) -> dict[str, Any]:
        """Send the undelivered events in order; delete the file after the last. Raises what MLflow raises.

        A run that was deleted by hand meanwhile is restored; one that is gone is recorded again from its beginning.
        """
        events = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        state = self.state
        client = connect()
        revived = False
        while state["delivered"] < len(events):
            try:
                send(client, events[state["delivered"]], state)
            except Exception:
                if revived or not revive(client, state):
                    raise
                revived = True
                continue
            state["delivered"] += 1
            write_json(self._state_path, state)
        if state["ended"]:
            self.path.unlink(missing_ok=True)
        return state

    def forget(self) -> None:
        """Remove the events, and the files that waited with them."""
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)
        shutil.rmtree(run_folder(self.path.stem), ignore_errors=True)


def run_folder(run_id: str) -> Path:
    """Where the files of a run wait until MLflow has them: dataset rows, charts, samples."""
    return settings.DATA_DIR / "mlflow" / "spool" / f"{run_id}-files"


def waiting() -> list[str]:
    """Ids of the training runs with undelivered events, oldest first."""
    folder = settings.DATA_DIR / "mlflow" / "spool"
    paths = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    return [path.stem for path in paths]
