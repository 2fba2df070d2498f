"""The MLflow record of one training run, through a spool: an MLflow that is down or slow never stops a training."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.tracking.metric_names import as_metrics
from training.tracking.spool import Spool

RETRY_SECONDS = 60
_log = logging.getLogger(__name__)


class Tracker:
    """Records one training run in MLflow. Every method returns soon and raises nothing, whatever MLflow does.

    say: receives one line for people when MLflow stops answering and when it is back.
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

    def metrics(self, values: Mapping[str, Any], step: int) -> None:
        """The finite numbers of `values`, named by `as_metrics`."""
        self._add(do="metrics", values=as_metrics(values), step=step)

    def series(self, points: Sequence[tuple[str, float, int, int]]) -> None:
        """Metrics of other moments: (name, value, milliseconds since 1970, step)."""
        if points:
            self._add(do="series", points=[list(point) for point in points])

    def tags(self, tags: Mapping[str, str]) -> None:
        self._add(do="tags", tags=dict(tags))

    def trial(
        self,
        number: int,
        params: Mapping[str, Any],
        metrics: Mapping[str, Any],
        *,
        steps: Mapping[str, Sequence[tuple[int, float]]],
        seconds: float,
        pruned: bool,
    ) -> None:
        """One trial of the search for the fast model: a child run, KILLED when the trial was pruned.

        steps: metrics with a value a fold, {name: [(fold, value)]}. seconds: how long it took.
        """
        values = as_metrics(metrics)
        about = {"number": number, "params": dict(params), "values": values, "pruned": pruned}
        self._add(do="trial", steps={name: list(points) for name, points in steps.items()}, seconds=seconds, **about)

    def artifact(self, path: Path, under: str = "") -> None:
        """A file, or every file of a folder. It must stay in place until it is delivered."""
        self._add(do="artifact", path=str(path), under=under)

    def text(self, name: str, text: str) -> None:
        self._add(do="text", name=name, text=text)

    def model(self, release_id: str, folder: Path) -> None:
        """Log the release in `folder` as the run's model, and enter it in the model registry."""
        self._add(do="model", release=release_id, folder=str(folder))

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
                self._say(f"MLflow does not answer ({_first_line(error)}). Its records are kept and delivered later.")
            self._down = True
        else:
            if self._down:
                self._say("MLflow is back. All records were delivered.")
            self._down = False


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
