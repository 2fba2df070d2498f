"""The time of a training: the fits of the accurate model share what is left, and end in time for what follows."""

import time

from cataract.ml.learn.reporter import Reporter

_FOR_THE_REST = 1 / 3  # as a share of a fit's time: calibration, quantisation, registration, comparison


class TimeBudget:
    """The time of one fit. Call `epoch_ends` after each epoch and ask `is_spent` before the next."""

    def __init__(self, seconds: float) -> None:
        self._epoch_began, self._longest = time.monotonic(), 0.0
        self._ends = self._epoch_began + seconds

    @classmethod
    def share(cls, reporter: Reporter, fits: int) -> "TimeBudget":
        """An equal share of what is left of the run, for one of `fits` that are still to come, and what follows."""
        return cls(reporter.seconds_left() / (max(1, fits) + _FOR_THE_REST))

    def epoch_ends(self) -> None:
        now = time.monotonic()
        self._longest, self._epoch_began = max(self._longest, now - self._epoch_began), now

    @property
    def is_spent(self) -> bool:
        """Whether another epoch, as long as the longest so far, would end too late. The first one always runs."""
        return self._longest > 0 and time.monotonic() + self._longest > self._ends
