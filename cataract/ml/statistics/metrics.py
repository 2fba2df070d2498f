"""Classification metrics with intervals. Only the exact interval needs more than numpy."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cataract.ml.labels import CATARACT, NORMAL

_RESAMPLES = 1000
_Vector = NDArray[Any]


def wilson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a share, k of n (Wilson 1927), where n may be an effective number; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share, k of n (Clopper and Pearson 1934); (0, 1) for n = 0."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(k, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    decisions: Sequence[str] | None = None,
    clusters: ArrayLike | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Classification metrics on N photos.

    y: truth 0/1; p: probability of cataract; decisions: what was answered, where that is not simply p >= 0.5 (photos
    that were called neither class are counted as `ungradable` and left out of everything else). With `clusters`, photos
    of one cluster are drawn together in the bootstrap. Each entry is {"value", "low", "high", "n"}, 95 % intervals:
    Wilson's for shares of independent photos, else the percentile bootstrap over clusters (Efron and Tibshirani 1993).
    A value that does not exist (no photo of a class) is None, and so are its limits.

    Raises ValueError when the lengths differ or a probability that counts is not finite.
    """
    truth, probability = np.asarray(y, dtype=np.int64), np.asarray(p, dtype=np.float64)
    answers = np.where(probability >= 0.5, CATARACT, NORMAL) if decisions is None else np.asarray(decisions, dtype=str)
    groups = np.arange(len(truth)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    if not len(truth) == len(probability) == len(answers) == len(groups):
        raise ValueError("Truth, probabilities, decisions and clusters must have the same length.")
    judged = (answers == CATARACT) | (answers == NORMAL)
    truth, probability, groups = truth[judged], probability[judged], groups[judged]
    called = (answers[judged] == CATARACT).astype(np.int64)
    if not np.isfinite(probability).all():
        raise ValueError("A photo that was given a class has no finite probability.")

    draws = _draws(groups, seed)
    result: dict[str, Any] = {}
    for name, share in _SHARES.items():
        k, n = share(truth, called)
        result[name] = _wilson_entry(k, n) if clusters is None else _entry(_ratio(share), (truth, called), draws, n)
    for name, measure, second in (
        ("f1", _f1, called),
        ("roc_auc", roc_auc, probability),
        ("pr_auc", pr_auc, probability),
        ("sensitivity_at_95_specificity", _sensitivity_at_specificity, probability),
        ("ece", ece, probability),
        ("brier", _brier, probability),
    ):
        result[name] = _entry(measure, (truth, second), draws, len(truth))
    counts = {
        "true_cataract": int(((called == 1) & (truth == 1)).sum()),
        "false_cataract": int(((called == 1) & (truth == 0)).sum()),
        "true_normal": int(((called == 0) & (truth == 0)).sum()),
        "false_normal": int(((called == 0) & (truth == 1)).sum()),
    }
    return result | {"confusion": counts, "n": int(judged.sum()), "ungradable": int((~judged).sum())}


def risk_coverage(y: ArrayLike, p: ArrayLike) -> list[dict[str, float]]:
    """Error among the surest photos against their share, from the surest to all (El-Yaniv and Wiener 2010).

    One {"coverage", "risk", "margin"} for each distinct |p - 0.5|.
    """
    truth, probability = np.asarray(y, dtype=np.int64), np.asarray(p, dtype=np.float64)
    margin = np.abs(probability - 0.5)
    order = np.argsort(-margin, kind="stable")
    wrong = np.cumsum((probability >= 0.5)[order] != (truth == 1)[order])
    if not len(truth):
        return []
    last = np.flatnonzero(np.append(np.diff(margin[order]) != 0, True))
    return [
        {
            "coverage": (index + 1) / len(truth),
            "risk": float(wrong[index]) / (index + 1),
            "margin": float(margin[order][index]),
        }
        for index in last.tolist()
    ]


def coverage_at_risk(y: ArrayLike, p: ArrayLike, max_error: float = 0.05) -> float:
    """The largest share of photos, surest first, whose observed error is at most `max_error`."""
    return max((point["coverage"] for point in risk_coverage(y, p) if point["risk"] <= max_error), default=0.0)


def roc_auc(y: _Vector, p: _Vector) -> float:
    """The chance that a photo with cataract is ranked above one without, ties counting half; NaN for one class."""
    positives = int(y.sum())
    negatives = len(y) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def pr_auc(y: _Vector, p: _Vector) -> float:
    """Average precision: the area under the precision-recall steps; NaN when no photo has cataract."""
    positives = int(y.sum())
    if positives == 0:
        return math.nan
    order = np.argsort(-p, kind="stable")
    last = np.append(np.diff(p[order]) != 0, True)  # photos with equal probability are found together
    found = np.cumsum(y[order])[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / positives)


def ece(y: _Vector, p: _Vector, bins: int = 10) -> float:
    """Expected calibration error over equal bins of the probability of cataract (Naeini et al. 2015); NaN for none."""
    if not len(y):
        return math.nan
    index = np.minimum((p * bins).astype(np.int64), bins - 1)
    gaps = np.abs(np.bincount(index, y, minlength=bins) - np.bincount(index, p, minlength=bins))
    return float(gaps.sum() / len(y))


def _brier(y: _Vector, p: _Vector) -> float:
    return float(((p - y) ** 2).mean()) if len(y) else math.nan


def _f1(y: _Vector, called: _Vector) -> float:
    total = int(y.sum() + called.sum())
    return 2 * int((y & called).sum()) / total if total else math.nan


def _sensitivity_at_specificity(y: _Vector, p: _Vector, specificity: float = 0.95) -> float:
    negatives, positives = np.sort(p[y == 0]), p[y == 1]
    if not len(negatives) or not len(positives):
        return math.nan
    threshold = negatives[min(math.ceil(specificity * len(negatives)), len(negatives)) - 1]
    return float((positives > threshold).mean())


_Share = Callable[[_Vector, _Vector], tuple[int, int]]
_SHARES: dict[str, _Share] = {
    "accuracy": lambda y, called: (int((y == called).sum()), len(y)),
    "sensitivity": lambda y, called: (int((y & called).sum()), int(y.sum())),
    "specificity": lambda y, called: (int(((1 - y) & (1 - called)).sum()), int((1 - y).sum())),
    "precision": lambda y, called: (int((y & called).sum()), int(called.sum())),
    "recall": lambda y, called: (int((y & called).sum()), int(y.sum())),
}


def _ratio(share: _Share) -> Callable[[_Vector, _Vector], float]:
    def ratio(y: _Vector, called: _Vector) -> float:
        k, n = share(y, called)
        return k / n if n else math.nan

    return ratio


def _wilson_entry(k: int, n: int) -> dict[str, Any]:
    low, high = wilson(k, n)
    return {"value": k / n, "low": low, "high": high, "n": n} if n else dict(NONE)


NONE: dict[str, Any] = {"value": None, "low": None, "high": None, "n": 0}


def _entry(
    measure: Callable[[_Vector, _Vector], float], data: tuple[_Vector, _Vector], draws: list[_Vector], n: int
) -> dict[str, Any]:
    value = measure(*data)
    drawn = np.array([measure(data[0][draw], data[1][draw]) for draw in draws])
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(drawn):
        return dict(NONE)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high), "n": n}


def _draws(groups: _Vector, seed: int) -> list[_Vector]:
    """Indices of the photos in each resample: whole clusters, drawn with replacement."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if not members:
        return []
    return [
        np.concatenate([members[chosen] for chosen in rng.integers(len(members), size=len(members))])
        for _ in range(_RESAMPLES)
    ]
