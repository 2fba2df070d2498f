"""The time of a training: the fits of the accurate model share what is left, and end in time for what follows."""

import time
from dataclasses import dataclass, field

from cataract.ml.learn.reporter import Reporter

_FOR_THE_REST = 0.2  # of the time left at the first epoch: calibration, quantisation, registration, comparison


@dataclass
class TimeBudget:
    """The time of one fit. Call `epoch_ends` after each epoch and ask `is_spent` before the next."""

    seconds: float
    _began: float = field(default_factory=time.monotonic)
    _epoch_began: float = field(default_factory=time.monotonic)
    _longest: float = 0.0

    @classmethod
    def share(cls, reporter: Reporter, fits: int) -> "TimeBudget":
        """An equal share of what is left of the run, for one of `fits` that are still to come."""
        return cls((1 - _FOR_THE_REST) * reporter.seconds_left() / max(1, fits))

    def epoch_ends(self) -> None:
        now = time.monotonic()
        self._longest, self._epoch_began = max(self._longest, now - self._epoch_began), now

    @property
    def is_spent(self) -> bool:
        """Whether another epoch, as long as the longest so far, would end too late. The first epoch always runs."""
        return self._longest > 0 and time.monotonic() - self._began + self._longest > self.seconds
