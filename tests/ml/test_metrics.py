"""Metrics agree with scikit-learn's, and intervals have their stated coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score

from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics import metrics


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (95, 100, 0.8882, 0.9785), (0, 0, 0, 1)]
)
def test_wilson(k: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, table I's method."""
    assert metrics.wilson(k, n) == pytest.approx((low, high), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), decimals=st.integers(1, 6))
def test_as_scikit_learn_computes_them(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.append([0, 1], rng.integers(0, 2, 60))
    p = np.clip(0.3 + 0.4 * y + rng.normal(0, 0.3, 62), 0, 1).round(decimals)
    found = metrics.evaluate(y, p)
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(y, p))
    assert found["pr_auc"]["value"] == pytest.approx(average_precision_score(y, p))
    assert found["brier"]["value"] == pytest.approx(brier_score_loss(y, p))
    assert found["f1"]["value"] == pytest.approx(f1_score(y, p >= 0.5))
    for entry in (value for value in found.values() if isinstance(value, dict) and "low" in value):
        assert entry["low"] - 1e-9 <= entry["value"] <= entry["high"] + 1e-9 or entry is found["ece"]


def test_the_confusion_and_what_follows_from_it() -> None:
    y, p = [1, 1, 1, 0, 0], [0.9, 0.8, 0.2, 0.7, 0.1]
    found = metrics.evaluate(y, p)
    assert found["confusion"] == {"true_cataract": 2, "false_cataract": 1, "true_normal": 1, "false_normal": 1}
    assert found["sensitivity"]["value"] == pytest.approx(2 / 3) and found["sensitivity"]["n"] == 3
    assert found["specificity"]["value"] == 0.5 and found["accuracy"]["value"] == 0.6


def test_ungradable_photos_are_counted_and_left_out() -> None:
    found = metrics.evaluate([1, 0, 1], [0.9, 0.1, np.nan], [CATARACT, NORMAL, Decision.UNGRADABLE])
    assert (found["n"], found["ungradable"], found["accuracy"]["value"]) == (2, 1, 1.0)
    with pytest.raises(ValueError, match="no finite probability"):
        metrics.evaluate([1, 0, 1], [0.9, 0.1, np.nan])
    with pytest.raises(ValueError, match="the same length"):
        metrics.evaluate([1, 0], [0.9])


def test_one_class_and_none_at_all() -> None:
    assert metrics.evaluate([1, 1], [0.9, 0.8])["roc_auc"] == {"value": None, "low": None, "high": None, "n": 0}
    assert metrics.evaluate([], [])["accuracy"]["value"] is None


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(rng.integers(0, 2, 40), 10)
    p = np.repeat(rng.random(40), 10)
    apart, together = metrics.evaluate(y, p), metrics.evaluate(y, p, clusters=np.repeat(np.arange(40), 10))
    width = [found["accuracy"]["high"] - found["accuracy"]["low"] for found in (apart, together)]
    assert width[1] > 2 * width[0]
    assert together == metrics.evaluate(y, p, clusters=np.repeat(np.arange(40), 10))


def test_risk_and_coverage() -> None:
    points = metrics.risk_coverage([1, 0, 1, 0], [0.99, 0.02, 0.4, 0.4])
    assert [(point["coverage"], point["risk"]) for point in points] == [(0.25, 0.0), (0.5, 0.0), (1.0, 0.25)]
    assert metrics.coverage_at_risk([1, 0, 1, 0], [0.99, 0.02, 0.4, 0.4]) == 0.5
    assert metrics.risk_coverage([], []) == []
