"""Scores become probabilities that mean what they say, and thresholds keep their promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cataract.ml.cascade import calibration
from cataract.ml.statistics.metrics import ece


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
    assert ece(y, p) < 0.03 < ece(y, calibration.apply({"kind": "temperature", "temperature": 1.0}, scores))
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


@pytest.mark.parametrize(("k", "n", "expected"), [(0, 59, 0.04951), (0, 10, 0.2589), (2, 100, 0.06162), (10, 10, 1.0)])
def test_the_exact_bound(k: int, n: int, expected: float) -> None:
    """Values of Clopper and Pearson's one-sided 95 % limit: 1 - 0.05**(1/n) without errors."""
    assert calibration.upper_bound(k, n, 0.95) == pytest.approx(expected, abs=2e-4)


def test_the_band_keeps_its_promise_in_nineteen_of_twenty_worlds() -> None:
    broken = 0
    worlds = 300
    for seed in range(worlds):
        scores, y = sample(300, seed, sharpness=1.0)
        band = calibration.choose_band(calibration.apply({"kind": "temperature", "temperature": 1.0}, scores), y)
        if band.possible:
            fresh, truth = sample(20_000, 10_000 + seed, sharpness=1.0)
            p = calibration.apply({"kind": "temperature", "temperature": 1.0}, fresh)
            sure = (p < band.normal_below) | (p > band.cataract_above)
            broken += ((p >= 0.5) != truth)[sure].mean() > 0.05
    assert broken / worlds <= 0.05 + 0.02


def test_too_few_photos_send_everything_to_a_person() -> None:
    band = calibration.choose_band([0.01] * 20 + [0.99] * 20, [0] * 20 + [1] * 20)
    assert not band.possible and (band.normal_below, band.cataract_above, band.coverage) == (0.0, 1.0, 0.0)
    assert "every photo goes to review" in band.message


def test_perfect_answers_are_all_decided() -> None:
    band = calibration.choose_band([0.01] * 100 + [0.99] * 100, [0] * 100 + [1] * 100)
    assert band.possible and band.coverage == 1.0 and band.errors == 0 and band.bound < 0.05
    assert "100%" in band.message and band.as_dict()["n"] == 200


def test_photos_of_one_cluster_count_once() -> None:
    p, y = [0.01] * 100 + [0.99] * 100, [0] * 100 + [1] * 100
    assert not calibration.choose_band(p, y, clusters=np.arange(200) // 10).possible


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 400))
def test_what_is_promised_is_what_was_counted(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.random(n), rng.integers(0, 2, n)
    y = np.where(rng.random(n) < 0.97, (p >= 0.5).astype(int), y)
    band = calibration.choose_band(p, y)
    sure = (p < band.normal_below) | (p > band.cataract_above)
    assert band.n == sure.sum() and band.errors == (((p >= 0.5) != y) & sure).sum()
    assert band.bound <= 0.05 if band.possible else not sure.any()
