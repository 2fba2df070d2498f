"""Scores become probabilities that mean what they say."""

import numpy as np
import pytest

from cataract.ml.cascade import calibration
from cataract.ml.statistics.metrics import evaluate


def sample(n: int, seed: int, sharpness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are three times too sure, and the truth drawn from the honest ones."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 2, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-honest))).astype(int)
    return sharpness * honest, y


def test_fitting_makes_probabilities_honest() -> None:
    fitted = calibration.fit_platt(*sample(2000, 1))
    scores, y = sample(4000, 2)
    p = calibration.apply(fitted, scores)
    as_it_comes = calibration.apply({"kind": "temperature", "temperature": 1.0}, scores)
    assert evaluate(y, p)["ece"]["value"] < 0.03 < evaluate(y, as_it_comes)["ece"]["value"]
    assert ((p >= 0) & (p <= 1)).all() and (np.diff(p[np.argsort(scores)]) >= 0).all()


def test_extreme_and_broken_scores() -> None:
    for kind in (
        {"kind": "temperature", "temperature": 0.01},
        {"kind": "platt", "slope": 5.0, "intercept": 1.0},
        {"kind": "isotonic", "x": [-1.0, 1.0], "y": [0.1, 0.9]},
    ):
        low, high, broken = calibration.apply(kind, [-1e30, 1e30, np.nan])
        assert 0 <= low < 0.5 < high <= 1 and np.isnan(broken)
    with pytest.raises(ValueError, match="no calibration"):
        calibration.apply({"kind": "guess"}, [0.0])
