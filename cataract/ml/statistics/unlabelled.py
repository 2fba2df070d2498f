"""Performance that is estimated before anybody has read the photos, from calibrated probabilities alone.

Confidence-based performance estimation: a photo called "cataract" with probability p is a true positive with
probability p and a false one with 1 - p (Bialek et al. 2024, "Estimating Model Performance Under Covariate Shift
Without Labels", arXiv 2401.08348). It holds as long as the probabilities are calibrated on these photos: it sees that
photos have become harder, and does not see that the same photos have come to mean something else.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
DRAWS = 400
MEASURES = ("sensitivity", "specificity", "accuracy")

Estimate = dict[str, float | int | None]  # value, low, high (95 % interval), n


def estimate(probabilities: Sequence[float], called: Sequence[bool], *, seed: int = 0) -> dict[str, Estimate]:
    """Sensitivity, specificity and accuracy of the calls, each {value, low, high, n}; None for no photos.

    probabilities: of cataract, 0..1; NaN, of a photo that no model judged, counts as the mean of the others. called:
    whether the AI sends the patient on. n: the photos. The interval is that of the figure which labels of these very
    photos would have shown: photos and truths are drawn again.
    """
    p, says = np.asarray(probabilities, dtype=np.float64), np.asarray(called, dtype=bool)
    is_known = np.isfinite(p)
    if not is_known.any():
        return {name: {"value": None, "low": None, "high": None, "n": 0} for name in MEASURES}
    p = np.where(is_known, p, p[is_known].mean())
    values = _figures(p[None, :], says[None, :])
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(p), (DRAWS, len(p)))
    drawn = _figures((rng.random(rows.shape) < p[rows]).astype(np.float64), says[rows])
    found: dict[str, Estimate] = {}
    for name, value, several in zip(MEASURES, values, drawn, strict=True):
        low, high = np.nanquantile(several, [0.025, 0.975]) if np.isfinite(several).any() else (np.nan, np.nan)
        found[name] = {"value": _or_none(value[0]), "low": _or_none(low), "high": _or_none(high), "n": len(p)}
    return found


def _figures(positive: Numbers, says: NDArray[np.bool_]) -> tuple[Numbers, ...]:
    """The measures of each row; `positive` holds truths, or the probabilities of them."""
    hit, all_positive = (positive * says).sum(axis=1), positive.sum(axis=1)
    cleared, all_negative = ((1 - positive) * ~says).sum(axis=1), (1 - positive).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hit / all_positive, cleared / all_negative, (hit + cleared) / positive.shape[1]


def _or_none(value: float) -> float | None:
    return float(round(value, 4)) if np.isfinite(value) else None
