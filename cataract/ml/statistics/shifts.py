"""Has a sample shifted? Two-sample tests of one measure and of embeddings, how large the shift is, and where it began.

Sources: ranks, Mann and Whitney 1947 for the place and Mood 1954 for the spread; maximum mean discrepancy, Gretton et
al. 2012, "A kernel two-sample test", JMLR 13; permutations drawn one after another, Besag and Clifford 1991,
"Sequential Monte Carlo p-values"; a classifier that tells the samples apart, Lopez-Paz and Oquab 2017, "Revisiting
classifier two-sample tests"; standardised difference, Hedges and Olkin 1985.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_Z: Final = 1.959964  # of a 95 % interval
_ENOUGH_ABOVE: Final = 20  # permutations above the statistic after which none more are drawn
_BATCH: Final = 100
_MOST_PERMUTATIONS: Final = 60_000
_FEWEST_AFTER: Final = 20  # photos after the onset


class Difference(NamedTuple):
    """How far two means are apart, in standard deviations of the reference, with its 95 % interval."""

    value: float
    low: float
    high: float


def rank_test(reference: Numbers, recent: Numbers) -> float:
    """The p-value (two-sided) of "same distribution" against another place or another spread; 1 where nothing varies.

    Twice the smaller p of the two rank tests, with the variance that permutations have, ties and all. Asymptotic: good
    from about 20 on each side.
    """
    from scipy.stats import rankdata  # not at the top: the web process imports this module and must start quickly

    n, total = len(recent), len(reference) + len(recent)
    place = (rankdata(np.concatenate([reference, recent])) - 0.5) / total - 0.5
    strongest = 0.0
    for scores in (place, place**2):
        deviation = float(np.std(scores, ddof=1)) * math.sqrt((1 - n / total) / n)
        if deviation > 1e-12:
            strongest = max(strongest, abs(float(np.mean(scores[-n:]) - np.mean(scores))) / deviation)
    return min(1.0, 2 * math.erfc(strongest / math.sqrt(2)))


def difference(reference: Numbers, recent: Numbers) -> Difference:
    """The standardised difference of the means; 0 without an interval worth the name where nothing varies."""
    n, m = len(reference), len(recent)
    spread = float(np.std(reference, ddof=1))
    if spread == 0:
        spread = float(np.std(np.concatenate([reference, recent]), ddof=1)) or 1.0
    value = float(np.mean(recent) - np.mean(reference)) / spread
    error = math.sqrt(1 / n + 1 / m + value**2 / (2 * (n + m)))
    return Difference(value, value - _Z * error, value + _Z * error)


def kernel_test(reference: Numbers, recent: Numbers, *, alpha: float, seed: int = 0) -> float:
    """The p-value of "same distribution" of embeddings (N, D) and (M, D), by permutations of a radial kernel.

    Draws as many permutations as it takes to tell a p-value below `alpha`, at most 60,000, and stops early where the
    samples look alike: the p-value is valid whenever it stops.
    """
    kernel = _centred_kernel(_standardised(np.concatenate([reference, recent])))
    n, total = len(recent), len(kernel)
    found = float(kernel[-n:, -n:].sum())
    rng = np.random.default_rng(seed)
    drawn, above, most = 0, 0, min(_MOST_PERMUTATIONS, max(_BATCH, math.ceil(4 / alpha)))
    while drawn < most:
        chosen = np.argpartition(rng.random((_BATCH, total), dtype=np.float32), n, axis=1)[:, :n]
        rows = np.zeros((_BATCH, total), dtype=np.float32)
        np.put_along_axis(rows, chosen, 1.0, axis=1)
        is_above = np.cumsum(np.einsum("ij,ij->i", rows @ kernel, rows) >= found * (1 - 1e-6))
        if above + is_above[-1] >= _ENOUGH_ABOVE:
            last = int(np.searchsorted(is_above, _ENOUGH_ABOVE - above)) + 1
            return _ENOUGH_ABOVE / (drawn + last)
        drawn, above = drawn + _BATCH, above + int(is_above[-1])
    return (above + 1) / (drawn + 1)


def domain_auc(reference: Numbers, recent: Numbers, *, seed: int = 0) -> tuple[float, float, float]:
    """How well a classifier tells recent from earlier embeddings: (AUC, and its 95 % interval), 0.5 where it cannot.

    Logistic regression, five folds, scores of photos that it has not seen. Interval: Hanley and McNeil 1982.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rows = _standardised(np.concatenate([reference, recent]))
    truth = np.repeat([0, 1], [len(reference), len(recent)])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = LogisticRegression(C=1 / rows.shape[1], max_iter=200, class_weight="balanced")
    scores = cross_val_predict(model, rows, truth, cv=folds, method="decision_function")
    auc = float(roc_auc_score(truth, scores))
    n, m = len(reference), len(recent)
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (m - 1) * (one - auc**2) + (n - 1) * (two - auc**2)) / (n * m)
    error = _Z * math.sqrt(max(variance, 0.0))
    return auc, max(0.0, auc - error), min(1.0, auc + error)


def along_the_shift(reference: Numbers, recent: Numbers) -> tuple[Numbers, Numbers]:
    """Embeddings as one number each: how far they lie in the direction from the earlier to the recent mean."""
    rows = _standardised(np.concatenate([reference, recent]))
    old, new = rows[: len(reference)], rows[len(reference) :]
    direction = new.mean(axis=0) - old.mean(axis=0)
    return old @ direction, new @ direction


def onset(reference: Numbers, recent: Numbers) -> int:
    """The index in `recent`, which is in order of time, from which on it differs most from the reference."""
    spread = float(np.std(reference)) or 1.0
    away = (recent - np.mean(reference)) / spread
    after = np.arange(len(away), 0, -1)
    sums = np.cumsum(away[::-1])[::-1]
    strength = np.where(after >= min(_FEWEST_AFTER, len(away)), np.abs(sums) / np.sqrt(after), -1.0)
    return int(np.argmax(strength))


def _standardised(rows: Numbers) -> Numbers:
    spread = rows.std(axis=0)
    found: Numbers = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return found


def _centred_kernel(rows: Numbers) -> NDArray[np.float32]:
    """The radial kernel with the median distance as its width, its rows and columns centred.

    With centred rows the discrepancy of any split is, up to a constant factor, the sum over its recent block.
    """
    squares = np.sum(rows**2, axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0.0)
    width = float(np.median(distances[np.triu_indices(len(rows), 1)])) or 1.0
    kernel = np.exp(-distances / width)
    means = kernel.mean(axis=0)
    centred: NDArray[np.float32] = (kernel - means[None, :] - means[:, None] + means.mean()).astype(np.float32)
    return centred
