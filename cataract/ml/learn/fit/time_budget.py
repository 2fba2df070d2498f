"""The time of a training: the fits of the accurate model share what is left, and end in time for what follows."""

import time

from cataract.ml.learn.reporter import Reporter

_FOR_THE_REST = 0.2  # of the time left at the first epoch: calibration, quantisation, registration, comparison


class TimeBudget:
    """The time of all fits of one model. Call `fit_begins`, after each epoch `epoch_ends`, and ask `is_spent`."""

    def __init__(self, reporter: Reporter) -> None:
        self._ends = time.monotonic() + (1 - _FOR_THE_REST) * reporter.seconds_left()
        self._fit_ends = self._ends
        self._epoch_began, self._longest = 0.0, 0.0

    def fit_begins(self, left: int) -> None:
        """A fit begins, one of `left` that share the rest of the time equally."""
        self._epoch_began, self._longest = time.monotonic(), 0.0
        self._fit_ends = self._epoch_began + (self._ends - self._epoch_began) / max(1, left)

    def epoch_ends(self) -> None:
        now = time.monotonic()
        self._longest, self._epoch_began = max(self._longest, now - self._epoch_began), now

    @property
    def is_spent(self) -> bool:
        """Whether another epoch, as long as the longest of this fit, would end too late. The first one always runs."""
        return self._longest > 0 and time.monotonic() + self._longest > self._fit_ends
