"""Two releases on the same photos: intervals of the difference of a measure that never close where no photo differs.

Each knows its interval for any multiple of the photos, so that one can say how many photos would decide a question.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cataract.ml.statistics.intervals import Array, Z, clustered_variance, effective_number
from cataract.ml.statistics.measures import (
    SHARES,
    Answers,
    Mask,
    auc_variance,
    balanced_number,
    calibration_error,
    placements,
    roc_auc,
)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """One measure of both releases on the same n photos. interval_of: the interval if there were so many times the
    photos, with the same results."""

    first: float
    second: float
    n: int
    interval_of: Callable[[float], Interval]

    @property
    def value(self) -> float:
        return self.second - self.first

    @property
    def interval(self) -> Interval:
        """The 95 % interval of second less first."""
        return self.interval_of(1.0)


def compare(name: str, first: Answers, second: Answers) -> Difference | None:
    """The difference of a measure, second less first, on the same photos in the same order; None where undefined.

    Shares: Tango's score interval (1998) with the effective number of pairs that clusters and weights leave (Obuchowski
    1998; Yang, Sun and Hardin 2010). roc_auc and ece: of the photos that both graded, the normal interval with the
    variance of DeLong and Obuchowski, or the linearised one, which is never taken as less than that of one more pair in
    which the two differ (as Agresti and Min 2005 do for shares).
    """
    if name in SHARES:
        return _share_of_same(name, first, second)
    both = first.graded & second.graded
    return {"roc_auc": _auc_difference, "ece": _ece_difference}[name](first.only(both), second.only(both))


def tango(gained: float, lost: float, n: float) -> Interval:
    """Tango's 95 % score interval of (gained - lost) / n, of n pairs; all may be effective numbers.

    gained, lost: the pairs in which only the second, only the first, has the property; (-1, 1) for n = 0.
    Reference: Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17 (1998), 891-908.
    """
    if n <= 0:
        return -1.0, 1.0

    def score(delta: float) -> float:
        """The distance of the observed from a true difference, in standard errors that hold if it is true."""
        b = -gained - lost + (2 * n - gained + lost) * delta
        c = -lost * delta * (1 - delta)
        only_first = max((math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n), 0.0)
        variance = n * (2 * only_first + delta * (1 - delta))
        distance = gained - lost - n * delta
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    observed = (gained - lost) / n
    low = _root(lambda delta: score(delta) > Z, -1.0, observed)
    high = _root(lambda delta: score(delta) >= -Z, observed, 1.0)
    return low, high


def _root(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `is_below` turns from true to false between low and high."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def share_difference(before: Mask, after: Mask, weight: Array, group: NDArray[np.int64]) -> Difference:
    """The difference of two shares of the same photos: whether each counts for the first and for the second, (N,)."""
    weight = weight / weight.sum()
    step = after.astype(np.float64) - before
    gained, lost = float(weight[step > 0].sum()), float(weight[step < 0].sum())
    pairs = effective_number(weight, group)
    variance = clustered_variance(weight * (step - (gained - lost)), group)
    if variance > 0:
        pairs = min(pairs, (gained + lost - (gained - lost) ** 2) / variance)

    def interval_of(times: float) -> Interval:
        n = pairs * times
        return tango(gained * n, lost * n, n)

    return Difference(float(weight @ before), float(weight @ after), len(step), interval_of)


def _share_of_same(name: str, first: Answers, second: Answers) -> Difference | None:
    among, before = SHARES[name](first)
    among_second, after = SHARES[name](second)
    if (among != among_second).any():
        raise ValueError(f"{name} is not a share of the same photos for both.")
    if not among.any():
        return None
    return share_difference(before[among], after[among], first.weight[among], first.only(among).group)


def _auc_difference(first: Answers, second: Answers) -> Difference | None:
    truth, weight, group = first.truth, first.weight, first.group
    before, after = (roc_auc(truth, side.probability, weight) for side in (first, second))
    if math.isnan(before):
        return None
    old, new = (placements(truth, side.probability, weight) for side in (first, second))
    variance = auc_variance(truth, new - old - (after - before), weight, group)
    # One more pair of each class: half of it in favour of either.
    pairs = balanced_number(truth, weight, group) / 2
    return _normal(before, after, len(truth), variance, lambda times: 2 / (pairs * times + 2) ** 2)


def _ece_difference(first: Answers, second: Answers) -> Difference | None:
    if not len(first.truth):
        return None
    (before, old), (after, new) = calibration_error(first), calibration_error(second)
    parts = new - old
    share: NDArray[np.float64] = first.weight / first.weight.sum()
    variance = clustered_variance(parts - share * parts.sum(), first.group)
    pairs = effective_number(first.weight, first.group)
    return _normal(before, after, len(first.truth), variance, lambda times: 1 / (pairs * times + 2) ** 2)


def _normal(before: float, after: float, n: int, variance: float, least: Callable[[float], float]) -> Difference:
    def interval_of(times: float) -> Interval:
        half = Z * math.sqrt(max(variance / times, least(times)))
        return max(-1.0, after - before - half), min(1.0, after - before + half)

    return Difference(before, after, n, interval_of)


def times_to_decide(difference: Difference, *, allowed: float, better: int, most: float = 50.0) -> float | None:
    """How many times the photos it takes, with the same results, until the interval is on one side of the margin.

    allowed: by how much the second may be worse; better: +1 where more is better, -1 where less is. None for more than
    `most` times, and always at least 1.
    """

    def is_open(times: float) -> bool:
        low, high = (better * end for end in difference.interval_of(times))
        return min(low, high) < -allowed <= max(low, high)

    if is_open(most):
        return None
    return 1.0 if not is_open(1.0) else _root(is_open, 1.0, most)
