"""How a training reports progress and metrics and receives a request to stop."""

import math
from collections.abc import Mapping
from typing import Any, Protocol


class Cancelled(Exception):
    """The training was asked to stop, and wrote no release."""


class Reporter(Protocol):
    """Receives what a training reports while it runs. All methods may be called often and return soon."""

    def progress(self, stage: str, fraction: float, message: str = "") -> None:
        """The work has reached `fraction` (0 to 1) of `stage`."""

    def metric(self, values: Mapping[str, Any], step: int) -> None:
        """The metrics of one trial of the search ("trial" is among the values), of one number of trees ("trees" is), or
        of one epoch."""

    def log(self, line: str) -> None:
        """A sentence for the people who read the run's log."""

    def seconds_left(self) -> float:
        """How long the training may still take; infinite without a limit."""
        return math.inf

    def should_stop(self) -> bool:
        """Whether the training must stop. Asked between the steps of a fit, every few seconds at least."""
        return False

    def check_stop(self) -> None:
        """Raises Cancelled when the training must stop."""
        if self.should_stop():
            raise Cancelled("The training was stopped.")


class SilentReporter(Reporter):
    """Reports nothing and never stops a training."""

    def progress(self, stage: str, fraction: float, message: str = "") -> None:
        return None

    def metric(self, values: Mapping[str, Any], step: int) -> None:
        return None

    def log(self, line: str) -> None:
        return None


SILENT = SilentReporter()
