"""Linear rules on standardised features, as gate.json and framing.json keep them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cataract.ml.arrays import Floats


def fit_linear_rule(
    x: Floats, y: NDArray[Any], weights: NDArray[np.float64], regression: LogisticRegression
) -> tuple[NDArray[np.float64], float]:
    """Fit the regression on standardised features (N, D); return weights (D,) and bias of the plain ones."""
    mean, spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    spread = np.where(spread < 1e-6, 1.0, spread)
    regression.fit((x - mean) / spread, y, sample_weight=weights)
    plain = regression.coef_[0] / spread
    return plain, float(regression.intercept_[0] - plain @ mean)


def rounded(weights: NDArray[np.float64]) -> list[float]:
    """Five digits of each weight."""
    return [float(f"{weight:.5g}") for weight in weights]
