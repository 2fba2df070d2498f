"""Shares, Cohen's kappa and Krippendorff's alpha with 95 % intervals, from plain arrays.

A cluster is a patient with near-duplicate photos. Cases of one cluster are never counted as independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cataract.ml.statistics.intervals import Estimate, nothing, weighted_share, wilson

RESAMPLES = 1000
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """A named estimate."""

    name: str
    estimate: Estimate
    note: str = ""


# Shares ---------------------------------------------------------------------------------------------------------------
def share(hits: int, n: int) -> Estimate:
    """A plain share of independent cases, with Wilson's interval."""
    return Estimate(hits / n, *wilson(hits, n), n) if n else nothing()


# Agreement ------------------------------------------------------------------------------------------------------------
def cohen_kappa(pairs: Sequence[tuple[str, str]], clusters: ArrayLike, seed: int = 0) -> Estimate:
    """Cohen's kappa (1960) of two answers a case, with the percentile bootstrap over clusters.

    The value is None when all answers are the same: agreement beyond chance is then undefined.
    """
    from sklearn.metrics import cohen_kappa_score  # takes a second, and every process imports this module

    if not pairs:
        return nothing()
    names = sorted({answer for pair in pairs for answer in pair})
    if len(names) < 2:
        return nothing(len(pairs))
    first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    index = {name: position for position, name in enumerate(names)}
    table = np.zeros((len(pairs), len(names), len(names)))
    table[np.arange(len(pairs)), [index[a] for a in first], [index[b] for b in second]] = 1
    low, high = _bootstrap(table.reshape(len(pairs), -1), clusters, _kappa_of(len(names)), seed)
    return Estimate(float(cohen_kappa_score(first, second)), low, high, len(pairs))


def _kappa_of(k: int) -> Callable[[Array], Array]:
    """The formula of `cohen_kappa_score`, for many tables (B, k * k) at once."""

    def kappa(tables: Array) -> Array:
        shares = tables.reshape(-1, k, k) / tables.sum(axis=1)[:, None, None]
        observed = np.trace(shares, axis1=1, axis2=2)
        expected = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
        result: Array = (observed - expected) / (1 - expected)
        return result

    return kappa


def krippendorff_alpha(cases: Sequence[Sequence[str]], clusters: ArrayLike, seed: int = 0) -> Estimate:
    """Krippendorff's alpha for nominal answers, any number of readers a case, missing ones allowed.

    `cases` holds the answers of each case; cases with fewer than two are left out. The formula is that of
    Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section C. The tests compare it with the package
    `krippendorff`, which is GPL and so only a test dependency. The interval is the percentile bootstrap over clusters.
    """
    paired = [position for position, answers in enumerate(cases) if len(answers) > 1]
    names = sorted({answer for position in paired for answer in cases[position]})
    if len(names) < 2:
        return nothing(len(paired))
    counts = np.array([[cases[position].count(name) for name in names] for position in paired], dtype=np.float64)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (counts.sum(axis=1) - 1)
    sums = np.column_stack([agreeing, counts])
    low, high = _bootstrap(sums, np.asarray(clusters)[paired], _alpha, seed)
    return Estimate(float(_alpha(sums.sum(axis=0, keepdims=True))[0]), low, high, len(paired))


def _alpha(sums: Array) -> Array:
    """Rows of (agreeing pairs, answers of each name) -> alpha."""
    counts = sums[:, 1:]
    n = counts.sum(axis=1)
    observed = 1 - sums[:, 0] / n
    expected = 1 - (counts * (counts - 1)).sum(axis=1) / (n * (n - 1))
    result: Array = 1 - observed / expected
    return result


def _bootstrap(
    sums: Array, clusters: ArrayLike, statistic: Callable[[Array], Array], seed: int
) -> tuple[float | None, float | None]:
    """95 % percentile interval of a statistic of column sums, drawing whole clusters (Efron and Tibshirani 1993)."""
    groups = np.unique(np.asarray(clusters), return_inverse=True)[1]
    size = int(groups.max()) + 1
    by_cluster = np.zeros((size, sums.shape[1]))
    np.add.at(by_cluster, groups, sums)
    # Equal clusters are drawn together: the same distribution, and thousands of clusters cost no more.
    distinct, counts = np.unique(by_cluster, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(size, counts / size, size=RESAMPLES) @ distinct
    with np.errstate(divide="ignore", invalid="ignore"):
        values = statistic(drawn)
    values = values[np.isfinite(values)]
    # Where most resamples hold one answer only, the rest gives no valid interval.
    if size < 2 or len(values) < RESAMPLES / 2:
        return None, None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


# The AI in service ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Live:
    """The AI's performance on all photos that came in, estimated from those that were read."""

    sensitivity: Estimate
    specificity: Estimate


def live(
    *, called: ArrayLike, truth: ArrayLike, propensity: ArrayLike, clusters: ArrayLike | None = None
) -> tuple[Live, Live]:
    """Sensitivity and specificity in service: (weighted by 1 / propensity, unweighted), from the photos that were read.

    called, truth: (N,) 1 cataract, 0 normal; propensity: (N,) in (0, 1], the chance with which each came to be read.
    The unweighted figures describe the cases that were read, which are mostly the doubtful ones.
    """
    calls, true = np.asarray(called, dtype=np.int64), np.asarray(truth, dtype=np.int64)
    weight = 1 / np.asarray(propensity, dtype=np.float64)
    groups: NDArray[Any] = np.arange(len(calls)) if clusters is None else np.asarray(clusters)
    sick, well = true == 1, true == 0

    def measured(weights: Array) -> Live:
        return Live(
            sensitivity=weighted_share(calls[sick] == 1, weights[sick], groups[sick]),
            specificity=weighted_share(calls[well] == 0, weights[well], groups[well]),
        )

    return measured(weight), measured(np.ones(len(calls)))


def read_share(chosen: Sequence[str], read: Sequence[bool]) -> Array:
    """For each case the share of its class that has been read: the chance of being read once chosen.

    chosen: the class of each chosen case (its kind and propensity); a class of which nothing is read has share 0.
    Multiplying propensities by it corrects for reading the urgent cases first (weighting-class adjustment).
    """
    _, inverse = np.unique(np.asarray(chosen, dtype=str), return_inverse=True)
    if not len(inverse):
        return np.zeros(0)
    rates: Array = np.bincount(inverse, np.asarray(read, dtype=np.float64)) / np.bincount(inverse)
    return rates[inverse]
