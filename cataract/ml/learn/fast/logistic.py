"""A logistic regression on the fast model's inputs, as a candidate beside LightGBM."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.learn.fast.cross_validation import CrossValidation, log_loss

# Inverse strengths of the L2 penalty that are tried, divided by the number of features (which are standardised).
STRENGTHS = (0.1, 1.0, 10.0)


def best_strength(data: CrossValidation) -> tuple[float, float]:
    """(strength, log loss) of the best one under grouped cross-validation. Raises Cancelled."""
    found = [(strength, log_loss(scores(data, strength), data.y, data.weights)) for strength in STRENGTHS]
    return min(found, key=lambda pair: pair[1])


def scores(data: CrossValidation, strength: float) -> Floats:
    """Log-odds (N,) of each photo by the model of the other folds. Raises Cancelled."""
    out = np.zeros(len(data.y), dtype=np.float32)
    for fold in np.unique(data.fold_of):
        data.reporter.check_stop()
        inside = data.fold_of == fold
        coefficients, intercept = _fit(data.x[~inside], data.y[~inside], data.weights[~inside], strength)
        out[inside] = data.x[inside].astype(np.float64) @ coefficients + intercept
    return out


def fit_text(x: Floats, y: NDArray[np.int64], weights: NDArray[np.float64], strength: float) -> str:
    """The content of fast.txt, fitted on all photos."""
    coefficients, intercept = _fit(x, y, weights, strength)
    return json.dumps({"coefficients": coefficients.tolist(), "intercept": intercept}) + "\n"


def _fit(
    x: Floats, y: NDArray[np.int64], weights: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.float64], float]:
    """(coefficients of the unscaled features, intercept)."""
    from sklearn.linear_model import LogisticRegression

    values = x.astype(np.float64)
    mean, spread = values.mean(axis=0), values.std(axis=0)
    spread[spread == 0] = 1.0
    model: Any = LogisticRegression(C=strength / x.shape[1], max_iter=2000)
    model.fit((values - mean) / spread, y, sample_weight=weights)
    coefficients = model.coef_[0] / spread
    return coefficients, float(model.intercept_[0] - mean @ coefficients)
