"""A reporter for tests: it records what a training reports, and stops it on demand."""

from collections.abc import Callable, Mapping
from typing import Any

from cataract.ml.learn.reporter import Reporter


class RecordingReporter(Reporter):
    """stages: of each progress report, in order. metrics: of each trial and epoch.

    stop: whether to stop, asked at every check. on_metric: called after each metric was recorded; it may raise.
    """

    def __init__(
        self,
        *,
        stop: Callable[[], bool] = lambda: False,
        on_metric: Callable[[dict[str, Any]], None] = lambda values: None,
    ) -> None:
        self.stages: list[str] = []
        self.fractions: list[float] = []
        self.metrics: list[dict[str, Any]] = []
        self._stop, self._on_metric = stop, on_metric

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The metrics of the trials of a search."""
        return [values for values in self.metrics if "trial" in values]

    def progress(self, stage: str, fraction: float, message: str = "") -> None:
        self.stages.append(stage)
        self.fractions.append(fraction)

    def metric(self, values: Mapping[str, Any], step: int) -> None:
        self.metrics.append(dict(values))
        self._on_metric(self.metrics[-1])

    def log(self, line: str) -> None:
        return None

    def should_stop(self) -> bool:
        return self._stop()
