"""Raw score -> probability, and thresholds with a guarantee.

Applying needs numpy only; fitting uses scipy.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MARGINS = np.round(np.arange(0.495, -0.001, -0.005), 4)  # of choose_band, from the strictest rule to the widest
_FEW = 400  # photos


def apply(calibration: Mapping[str, Any], scores: ArrayLike) -> NDArray[np.float64]:
    """Raw scores (N,), log-odds of cataract, -> probabilities (N,); NaN stays NaN. Kinds: see `release.manifest`.

    Raises ValueError on an unknown kind.
    """
    raw = np.asarray(scores, dtype=np.float64)
    match calibration["kind"]:
        case "temperature":
            return _sigmoid(raw / float(calibration["temperature"]))
        case "platt":
            return _sigmoid(float(calibration["slope"]) * raw + float(calibration["intercept"]))
        case "isotonic":
            return np.asarray(np.interp(raw, calibration["x"], calibration["y"]))
        case kind:
            raise ValueError(f"There is no calibration of kind {kind!r}.")


def fit_platt(scores: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """Slope and intercept of a logistic curve with Platt's smoothed targets (Platt 1999)."""
    from scipy.optimize import minimize

    raw, truth = np.asarray(scores, dtype=np.float64), np.asarray(y)
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    fit = minimize(lambda w: _log_loss(w[0] * raw + w[1], target), x0=np.array([1.0, 0.0]), method="BFGS")
    return {"kind": "platt", "slope": float(fit.x[0]), "intercept": float(fit.x[1])}


@dataclass(frozen=True)
class Band:
    """Thresholds and their guarantee. Nothing is decided automatically when `possible` is False.

    coverage: share of the photos beyond the thresholds; n, errors: how many those are and how many of them are wrong;
    bound: the upper confidence limit of their error. `message` states this in a sentence.
    """

    normal_below: float
    cataract_above: float
    coverage: float
    bound: float
    n: int
    errors: int
    max_error: float
    confidence: float
    possible: bool
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The band as plain JSON values."""
        return asdict(self)


def choose_band(
    p: ArrayLike, y: ArrayLike, *, max_error: float = 0.05, confidence: float = 0.95, clusters: ArrayLike | None = None
) -> Band:
    """The widest set of sure answers whose error is at most `max_error` with the stated confidence.

    p: probabilities (N,) on photos that no model was fitted on; y: truth 0/1 (N,). With `clusters`, photos of one
    cluster count as one (wrong when any sure answer in it is), since they are not independent.

    Risk control by fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test", section 4.2): a fixed list of
    nested rules |p - 0.5| > margin, from the one that decides least to the one that decides most, each tested at the
    full level with the exact upper bound of Clopper and Pearson (1934); the last one before the first failure is taken,
    which needs no correction for multiple testing. The sequence starts where a third of the photos are sure
    (two thirds when they are fewer than `_FEW`, where one mislabelled photo would end a sequence that starts early) and
    a rule without any error would pass: that depends on how many photos are sure, not on whether they are right.
    """
    probability, truth = np.asarray(p, dtype=np.float64), np.asarray(y)
    if not np.isfinite(probability).all() or len(probability) != len(truth):
        raise ValueError("The band needs one finite probability for each label.")
    groups = np.arange(len(truth)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    total = len(np.unique(groups))
    wrong = (probability >= 0.5) != (truth == 1)
    start = total * (2 / 3 if total < _FEW else 1 / 3)
    best: Band | None = None
    for margin in _MARGINS:
        sure = np.abs(probability - 0.5) > margin
        n, errors = len(np.unique(groups[sure])), len(np.unique(groups[sure & wrong]))
        if n < start or upper_bound(0, n, confidence) > max_error:
            continue
        bound = upper_bound(errors, n, confidence)
        if bound > max_error:
            break
        message = (
            f"{n / total:.0%} are decided without review; {errors} of {n} of those were wrong: with "
            f"{confidence:.0%} confidence at most {bound:.1%} are."
        )
        low, high = float(0.5 - margin), float(0.5 + margin)
        best = Band(low, high, n / total, bound, n, errors, max_error, confidence, True, message)
    if best is not None:
        return best
    message = (
        f"No threshold keeps the error at {max_error:.0%} with {confidence:.0%} confidence on {total} photos: "
        "every photo goes to review."
    )
    return Band(0.0, 1.0, 0.0, 1.0, 0, 0, max_error, confidence, False, message)


def upper_bound(errors: int, n: int, confidence: float) -> float:
    """The exact one-sided upper confidence limit of a share, `errors` of `n` (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    return 1.0 if n == 0 or errors >= n else float(beta.ppf(confidence, errors + 1, n - errors))


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)))  # never overflows


def _log_loss(log_odds: NDArray[np.float64], target: NDArray[Any]) -> float:
    return float(np.mean(np.logaddexp(0, log_odds) - target * log_odds))
