"""Raw score -> probability.

Applying needs numpy only; fitting uses scipy.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cataract.ml.statistics.intervals import effective_number


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


def fit_platt(scores: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> dict[str, Any]:
    """Slope and intercept of a logistic curve with Platt's smoothed targets (Platt 1999).

    weights: (N,), equal by default. Their effective number (Kish 1965) smooths the targets.
    """
    from scipy.optimize import minimize

    raw, truth = np.asarray(scores, dtype=np.float64), np.asarray(y)
    weight = np.ones(len(raw)) if weights is None else np.asarray(weights, dtype=np.float64)
    negatives, positives = (
        effective_number(weight[truth == label], np.arange((truth == label).sum())) for label in (0, 1)
    )
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    fit = minimize(lambda w: _log_loss(w[0] * raw + w[1], target, weight), x0=np.array([1.0, 0.0]), method="BFGS")
    return {"kind": "platt", "slope": float(fit.x[0]), "intercept": float(fit.x[1])}


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)))  # never overflows


def _log_loss(log_odds: NDArray[np.float64], target: NDArray[Any], weights: NDArray[np.float64]) -> float:
    return float(np.average(np.logaddexp(0, log_odds) - target * log_odds, weights=weights))
