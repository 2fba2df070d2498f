"""Paired intervals: published values, reference formulas, no empty interval, and the error at the margin.

The simulations are small here and large in `make simulate`.
"""

import os

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from cataract.ml.labels import CATARACT, NORMAL, Decision
from cataract.ml.statistics import paired
from cataract.ml.statistics.measures import Answers
from cataract.ml.statistics.paired import Difference, tango

SETS = int(os.environ.get("SIMULATIONS", 300))  # `make simulate` takes more
MARGIN = 0.02


def answers(truth: object, p: object, **values: object) -> Answers:
    said = np.where(np.asarray(p) >= 0.5, CATARACT, NORMAL)
    return Answers.of(truth, said, p, **values)  # type: ignore[arg-type]


def of_errors(wrong: NDArray[np.bool_], **values: object) -> Answers:
    """Cataracts only, some of them missed."""
    return answers(np.ones(len(wrong)), np.where(wrong, 0.1, 0.9), **values)


def difference(name: str, first: Answers, second: Answers) -> Difference:
    found = paired.compare(name, first, second)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("gained", "lost", "n", "low", "high"),
    [
        (1, 7, 21, -0.517, -0.026),  # Fagerland, Lydersen and Laake 2014, airway hyper-responsiveness
        (20, 60, 1000, -0.0584, -0.0231),  # R, PropCIs::scoreci.mp
        (60, 20, 1000, 0.0231, 0.0584),
    ],
)
def test_tangos_interval_has_its_published_values(gained: int, lost: int, n: int, low: float, high: float) -> None:
    assert tango(gained, lost, n) == pytest.approx((low, high), abs=5e-4)


def test_tangos_interval_ends_where_its_score_test_says() -> None:
    """The end of the interval is tested with the variance at the most likely cells, found by search."""
    gained, lost, n = 4, 9, 150
    for end in tango(gained, lost, n):

        def surprise(q: float, end: float = end) -> float:
            rest = n - gained - lost
            return -float(lost * np.log(q) + gained * np.log(q + end) + rest * np.log(1 - 2 * q - end))

        best = minimize_scalar(surprise, bounds=(max(0, -end) + 1e-9, (1 - end) / 2 - 1e-9), method="bounded").x
        z = (gained - lost - n * end) / np.sqrt(n * (2 * best + end * (1 - end)))
        assert abs(z) == pytest.approx(norm.ppf(0.975), abs=1e-3)


def test_without_a_difference_the_interval_is_not_empty() -> None:
    """It is as wide as that of a share of 0 (Wilson), so a hundred pairs cannot show 2 points."""
    low, high = tango(0, 0, 100)
    assert -low == high == pytest.approx(norm.ppf(0.975) ** 2 / (100 + norm.ppf(0.975) ** 2))
    y = np.repeat([1, 0], 40)
    same = answers(y, np.where(y == 1, 0.9, 0.1))
    for name in ("sensitivity", "specificity", "roc_auc", "ece", "ungradable"):
        found = difference(name, same, same)
        assert found.value == 0 and found.interval[0] < -0.01 and found.interval[1] > 0.01, name


def test_photos_of_one_patient_count_once() -> None:
    wrong = np.arange(200) < 8
    apart = difference("sensitivity", of_errors(np.zeros(200, bool)), of_errors(wrong))
    twice = {"clusters": np.tile(np.arange(200), 2)}
    doubled = difference("sensitivity", of_errors(np.zeros(400, bool), **twice), of_errors(np.tile(wrong, 2), **twice))
    assert doubled.value == apart.value and doubled.n == 400
    assert doubled.interval == pytest.approx(apart.interval, abs=1e-3)


def test_weights_count_photos_for_what_they_stand_for_and_widen_the_interval() -> None:
    wrong = np.arange(100) < 5
    weight = np.where(wrong, 20.0, 1.0)
    found = difference("sensitivity", of_errors(np.zeros(100, bool), weight=weight), of_errors(wrong, weight=weight))
    plain = difference("sensitivity", of_errors(np.zeros(100, bool)), of_errors(wrong))
    assert found.value == pytest.approx(-100 / 195) and plain.value == pytest.approx(-0.05)
    assert np.ptp(found.interval) > 2 * np.ptp(plain.interval)


def test_the_variance_of_two_areas_is_that_of_delong() -> None:
    """The formula of DeLong, DeLong and Clarke-Pearson (1988), written out with loops over all pairs."""
    rng = np.random.default_rng(1)
    y = np.repeat([True, False], [60, 90])
    z = rng.normal(size=150) + 1.2 * y
    one, two = z + 0.5 * rng.normal(size=150), z + rng.normal(size=150)
    found = difference("roc_auc", answers(y, 1 / (1 + np.exp(-one))), answers(y, 1 / (1 + np.exp(-two))))
    wins = [np.array([[float(a > b) + 0.5 * (a == b) for b in s[~y]] for a in s[y]]) for s in (one, two)]
    rows, columns = (np.cov([w.mean(axis=axis) for w in wins]) for axis in (1, 0))
    contrast = np.array([-1, 1])
    half = norm.ppf(0.975) * np.sqrt(contrast @ (rows / 60 + columns / 90) @ contrast)
    assert (found.first, found.second) == pytest.approx([w.mean() for w in wins])
    assert found.interval == pytest.approx((found.value - half, found.value + half), abs=1e-9)


def test_both_are_judged_on_the_same_photos() -> None:
    """A challenger that refuses the photo that it ranks wrongly gains no area by it, and pays with its sensitivity."""
    y, p = [1, 1, 1, 0, 0, 0], np.array([0.9, 0.8, 0.2, 0.3, 0.1, 0.1])
    champion = answers(y, p)
    said = [CATARACT, CATARACT, Decision.UNGRADABLE, NORMAL, NORMAL, NORMAL]
    challenger = Answers.of(y, said, np.where(np.arange(6) == 2, np.nan, p))
    area = difference("roc_auc", champion, challenger)
    assert (area.first, area.second, area.n) == (1.0, 1.0, 5)
    referred = difference("sensitivity", champion, challenger)
    assert (referred.second, referred.n) == (1.0, 3) and referred.first == pytest.approx(2 / 3)
    assert difference("ungradable", champion, challenger).value == pytest.approx(1 / 6)


def test_how_many_photos_would_decide() -> None:
    clean = of_errors(np.zeros(100, bool))
    equal = difference("sensitivity", clean, clean)
    times = paired.times_to_decide(equal, allowed=MARGIN, better=1)
    assert times is not None and 188 <= 100 * times <= 189, "z^2 (1 - margin) / margin pairs without a difference"
    slightly = difference("sensitivity", clean, of_errors(np.arange(100) < 2))
    assert paired.times_to_decide(slightly, allowed=MARGIN, better=1) is None, "just at the margin: never"
    worse = difference("sensitivity", clean, of_errors(np.arange(100) < 30))
    assert paired.times_to_decide(worse, allowed=MARGIN, better=1) == 1.0


# The error at the margin ----------------------------------------------------------------------------------------------
def at_most(hits: int, sets: int, nominal: float) -> bool:
    """Whether so many of the sets are compatible with at most the nominal share."""
    return bool(binomtest(hits, sets, nominal, alternative="greater").pvalue > 0.01)


@pytest.mark.parametrize("patients", [100, 200, 400])
@pytest.mark.parametrize("shared", [True, False], ids=["nested", "mostly shared"])
def test_a_challenger_at_the_margin_rarely_passes_by_sensitivity(patients: int, shared: bool) -> None:
    """Sensitivity .95 and .93: the chance of a lower limit above the margin is near 2.5 %, in clusters too."""
    rng = np.random.default_rng(patients)
    passed = 0
    for _ in range(SETS):
        before = rng.random(patients) < 0.05
        more = rng.random(patients) < 0.02 / 0.95
        after = (
            before | more
            if shared
            else np.where(before, rng.random(patients) < 0.8, more | (rng.random(patients) < 0.0105))
        )
        photos = rng.integers(1, 4, patients)
        values = {"clusters": np.repeat(np.arange(patients), photos)}
        found = difference(
            "sensitivity", of_errors(np.repeat(before, photos), **values), of_errors(np.repeat(after, photos), **values)
        )
        passed += found.interval[0] >= -MARGIN
    print(f"\n{patients} patients, {'nested' if shared else 'mostly shared'}: {passed / SETS:.3f} pass")
    assert at_most(passed, SETS, 0.03)


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_a_challenger_at_the_margin_rarely_passes_by_specificity_where_photos_have_weights(weight: float) -> None:
    """Half of the photos stand for ten each, and the errors are among those as among the others."""
    rng = np.random.default_rng(7)
    passed = 0
    for _ in range(SETS):
        weights = np.where(rng.random(600) < 0.5, weight, 1.0)
        before = rng.random(600) < 0.05
        after = np.where(before, rng.random(600) < 0.9, rng.random(600) < 0.035 / 0.95)
        sides = [answers(np.zeros(600), np.where(w, 0.9, 0.1), weight=weights) for w in (before, after)]
        passed += difference("specificity", *sides).interval[0] >= -0.03
    print(f"\nweight {weight}: {passed / SETS:.3f} pass")
    assert at_most(passed, SETS, 0.03)


@pytest.mark.parametrize("correlation", [0.5, 0.9])
@pytest.mark.parametrize("each", [100, 250])
def test_a_challenger_at_the_margin_rarely_passes_by_the_area(each: int, correlation: float) -> None:
    """ROC-AUC .98 and .96."""
    rng = np.random.default_rng(each)
    y = np.repeat([1, 0], each)
    apart = [np.sqrt(2) * norm.ppf(area) for area in (0.98, 0.96)]
    passed = 0
    for _ in range(SETS):
        shared, own = rng.normal(size=2 * each), rng.normal(size=2 * each)
        second = correlation * shared + np.sqrt(1 - correlation**2) * own
        sides = [answers(y, norm.cdf(z + d * y - d / 2)) for z, d in zip((shared, second), apart, strict=True)]
        passed += difference("roc_auc", *sides).interval[0] >= -MARGIN
    print(f"\n{each} of each class, correlation {correlation}: {passed / SETS:.3f} pass")
    assert at_most(passed, SETS, 0.035)
