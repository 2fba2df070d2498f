"""95 % intervals of one share or one area, where photos come in clusters and may stand for several photos.

A cluster is a patient with near-duplicate photos: photos of one cluster are never counted as independent. No interval
here is empty where all photos happen to agree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_RESAMPLES = 1000
_FEWEST_FOR_A_MEDIAN = 6


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and the number of photos behind it; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def nothing(n: int = 0) -> Estimate:
    return Estimate(None, None, None, n)


def wilson(k: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of a share, k of n (Wilson 1927), where n may be an effective number; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(share * (1 - share), 0.0) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(k: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share, k of n (Clopper and Pearson 1934); (0, 1) for n = 0."""
    from scipy.stats import binomtest  # takes a second, and the web process imports this module

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(k, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def median_estimate(values: ArrayLike) -> Estimate:
    """The median of independent values, its interval between two order statistics (Conover 1999).

    With fewer than six values no two of them enclose the median with 95 % confidence: there is no interval.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if n == 0:
        return nothing()
    if n < _FEWEST_FOR_A_MEDIAN:
        return Estimate(float(np.median(ordered)), None, None, n)
    half = Z * math.sqrt(n) / 2
    low, high = max(math.floor(n / 2 - half), 0), min(math.ceil(n / 2 + half), n - 1)
    return Estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[high]), n)


def weighted_share(hit: ArrayLike, weight: ArrayLike, clusters: ArrayLike | None = None) -> Estimate:
    """The share of all photos that `hit`, from a sample in which each stands for `weight` (1 / probability) photos.

    hit: (N,) 0/1; weight: (N,) > 0; clusters: (N,) ids. The value is Hajek's ratio sum(w h) / sum(w). The interval is
    Wilson's with an effective number of photos (Korn and Graubard 1998; Dean and Pagano 2015): the smaller of what the
    linearised variance over clusters and what Kish's design effect leave. The second keeps the interval wide where the
    few heavy photos happen to agree and the first sees no variance. Without weights and clusters it is Wilson's.

    Raises ValueError when the lengths differ or a weight is not a positive, finite number.
    """
    hits, weights = np.asarray(hit, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    groups = group_numbers(clusters, len(hits))
    if not len(hits) == len(weights) == len(groups):
        raise ValueError("Hits, weights and clusters must have the same length.")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError("Every weight must be a positive, finite number.")
    if not len(hits):
        return nothing()
    value = float((weights * hits).sum() / weights.sum())
    effective = effective_number(weights, groups)
    variance = clustered_variance(weights * (hits - value), groups) / float(weights.sum()) ** 2
    if variance > 0:
        effective = min(effective, value * (1 - value) / variance)
    return Estimate(value, *wilson(value * effective, effective), len(hits))


def group_numbers(clusters: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """The clusters of n photos as numbers from 0 on; without clusters each photo is one of its own."""
    if clusters is None:
        return np.arange(n)
    return np.asarray(np.unique(np.asarray(clusters), return_inverse=True)[1], dtype=np.int64).reshape(-1)


def effective_number(weights: Array, groups: NDArray[np.int64]) -> float:
    """Kish's effective number (1965) of clusters: all of them where each weighs the same."""
    mass = np.bincount(groups, weights)
    return float(mass.sum() ** 2 / (mass**2).sum())


def clustered_variance(residuals: Array, groups: NDArray[np.int64]) -> float:
    """The variance of a sum of residuals with mean 0, over whole clusters; 0 for less than two.

    The correction for few clusters is left out where each photo is its own, so that shares have Wilson's interval.
    """
    sums = np.bincount(groups, residuals)
    if len(sums) < 2:
        return 0.0
    factor = 1.0 if len(sums) == len(residuals) else len(sums) / (len(sums) - 1)
    return factor * float((sums**2).sum())


def bootstrap(measure: Callable[[Array], float], groups: NDArray[np.int64], seed: int) -> Estimate:
    """`measure` of all photos with its percentile bootstrap interval over clusters (Efron and Tibshirani 1993).

    measure: how often each photo counts, (N,) -> value, NaN where it is undefined.
    """
    n = len(groups)
    value = measure(np.ones(n))
    if not math.isfinite(value):
        return nothing()
    size = int(groups.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=_RESAMPLES)
    values = np.array([measure(times[groups].astype(np.float64)) for times in drawn])
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Estimate(value, min(float(low), value), max(float(high), value), n)
