"""Metrics agree with scikit-learn's, and intervals have their stated coverage."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics import metrics
from cataract.ml.statistics.measures import NAMES, Answers, estimate


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (95, 100, 0.8882, 0.9785), (0, 0, 0, 1)]
)
def test_wilson(k: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, table I's method."""
    assert metrics.wilson(k, n) == pytest.approx((low, high), abs=1e-3)


@settings(max_examples=12, deadline=None)
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
        assert entry["low"] - 1e-9 <= entry["value"] <= entry["high"] + 1e-9


def test_weighted_as_scikit_learn_computes_them() -> None:
    rng = np.random.default_rng(3)
    y, weights = rng.integers(0, 2, 80), rng.integers(1, 20, 80).astype(float)
    p = np.clip(0.3 + 0.4 * y + rng.normal(0, 0.3, 80), 0, 1).round(2)
    found = metrics.evaluate(y, p, weights=weights)
    options = {"sample_weight": weights}
    assert found["roc_auc"]["value"] == pytest.approx(roc_auc_score(y, p, **options))
    assert found["pr_auc"]["value"] == pytest.approx(average_precision_score(y, p, **options))
    assert found["brier"]["value"] == pytest.approx(brier_score_loss(y, p, **options))
    assert found["f1"]["value"] == pytest.approx(f1_score(y, p >= 0.5, **options))
    assert found["sensitivity"]["value"] == pytest.approx(recall_score(y, p >= 0.5, **options))
    assert found["precision"]["value"] == pytest.approx(precision_score(y, p >= 0.5, **options))


def test_a_share_without_weights_and_clusters_has_wilsons_interval() -> None:
    found = metrics.evaluate([1] * 40, [0.9] * 37 + [0.1] * 3)["sensitivity"]
    assert (found["value"], found["n"]) == (37 / 40, 40)
    assert (found["low"], found["high"]) == pytest.approx(metrics.wilson(37, 40))
    low, high = metrics.clopper_pearson(37, 40)
    assert (low, high) == pytest.approx((0.79614, 0.98425), abs=1e-4)  # R, binom.test(37, 40)


def test_a_perfect_release_has_no_empty_interval() -> None:
    """Where no photo contradicts, the interval says how few photos there are."""
    found = metrics.evaluate([1] * 10 + [0] * 30, [0.9] * 10 + [0.1] * 30)
    for name in ("sensitivity", "specificity", "accuracy", "roc_auc"):
        assert found[name]["value"] == 1 and found[name]["low"] < 0.95, name


def test_chance_opens_gaps_in_the_calibration_that_are_no_error() -> None:
    """A calibrated release: without the correction 300 photos state an error of .054, and never 0."""
    rng = np.random.default_rng(0)
    corrected, plain, holds = [], [], 0
    for _ in range(60):
        p = 1 / (1 + np.exp(-rng.normal(-0.5, 2.2, 300)))
        y = (rng.random(300) < p).astype(int)
        found = estimate("ece", Answers.of(y, np.where(p >= 0.5, CATARACT, NORMAL), p))
        corrected.append(found.value or 0.0)
        plain.append(np.abs(np.bincount(np.minimum((p * 10).astype(int), 9), y - p, minlength=10)).sum() / 300)
        holds += found.low == 0
    assert np.mean(plain) > 0.045 and np.mean(corrected) < 0.6 * np.mean(plain)
    assert holds >= 0.8 * 60, "the interval holds 0, the true error"


def test_a_large_calibration_error_is_found_and_held_by_its_interval() -> None:
    rng = np.random.default_rng(0)
    p = np.full(1000, 0.2)
    y = (rng.random(1000) < 0.5).astype(int)
    found = metrics.evaluate(y, p)["ece"]
    assert found["low"] < 0.3 < found["high"] and found["value"] == pytest.approx(0.3, abs=0.04)


def test_the_confusion_and_what_follows_from_it() -> None:
    y, p = [1, 1, 1, 0, 0], [0.9, 0.8, 0.2, 0.7, 0.1]
    found = metrics.evaluate(y, p)
    classes = {"true_cataract": 2, "false_cataract": 1, "true_normal": 1, "false_normal": 1}
    assert found["confusion"] == classes | {"ungradable_cataract": 0, "ungradable_normal": 0}
    assert found["sensitivity"]["value"] == pytest.approx(2 / 3) and found["sensitivity"]["n"] == 3
    assert found["specificity"]["value"] == 0.5 and found["accuracy"]["value"] == 0.6


def test_a_photo_that_cannot_be_judged_counts_as_positive_and_by_itself() -> None:
    """It goes to a person as a suspect does: a cataract is not missed by it, a healthy eye is referred by it."""
    said = [CATARACT, NORMAL, Decision.UNGRADABLE, Decision.UNGRADABLE, NORMAL, NORMAL]
    found = metrics.evaluate([1, 0, 1, 0, 0, 1], [0.9, 0.1, np.nan, np.nan, 0.2, 0.3], said)
    assert (found["n"], found["graded"]) == (6, 4)
    values = {name: found[name]["value"] for name in ("sensitivity", "specificity", "accuracy", "ungradable")}
    assert values == pytest.approx({"sensitivity": 2 / 3, "specificity": 2 / 3, "accuracy": 3 / 6, "ungradable": 2 / 6})
    assert found["precision"]["value"] == pytest.approx(2 / 3) and found["roc_auc"]["n"] == found["ece"]["n"] == 4
    assert (found["confusion"]["ungradable_cataract"], found["confusion"]["ungradable_normal"]) == (1, 1)
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


def test_every_measure_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in text] == []
