"""Drift is found when it is there and seldom when it is not: against references, and in simulated years."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cataract.ml.statistics import monitoring, shifts, unlabelled
from cataract.ml.statistics.monitoring import EMBEDDING, Look, Sample, State, Windows, alpha_of, look, state_after

# `make simulate` takes more: years at each pace, and clinics with a shift of each measure.
YEARS = int(os.environ.get("DRIFT_YEARS", 0))
SHIFTED = int(os.environ.get("DRIFT_SHIFTS", 3))
BUDGET = 0.5
NAMES = ("brightness", "contrast", "sharpness", "short_side", "fast_probability", "probability", "disagreement")

Rows = NDArray[np.float64]


def photos(rng: np.random.Generator, n: int) -> Rows:
    """Measures of n photos (n, 7) and 16 numbers of their embeddings beside: (n, 23), partly hanging together."""
    shared = rng.normal(size=(n, 1))
    fast, accurate = (0.8 * shared + 0.6 * rng.normal(size=(n, 1)) for _ in range(2))
    p_fast, p = stats.norm.cdf(fast) ** 3, stats.norm.cdf((fast + accurate) / 2) ** 3
    apart = np.where(rng.random((n, 1)) < 0.4, np.abs(p_fast - p), np.nan)
    quality = (
        0.45 + 0.1 * (0.3 * shared + rng.normal(size=(n, 1))),
        rng.lognormal(-1.5, 0.4, (n, 1)),
        rng.standard_t(4, (n, 1)) * 30 + 200,
        rng.choice([1080.0, 1536.0, 3024.0], (n, 1), p=[0.3, 0.5, 0.2]),
    )
    return np.hstack([*quality, p_fast, p, apart, 0.3 * shared + rng.normal(size=(n, 16))])


def sample(rows: list[Rows]) -> Sample:
    table = np.array(rows)
    return Sample({name: table[:, place] for place, name in enumerate(NAMES)}, table[:, len(NAMES) :])


def watch(stream: Rows, *, a_day: float, share: float = 1.0, since: int = 0) -> Iterator[tuple[int, Look, State]]:
    """(photos so far, what the look then found, the state), as the system watches. since: no look before this photo."""
    windows: Windows[Rows] = Windows()
    state: State = "stable"
    for place, row in enumerate(stream):
        windows.add(row, may_grow=state != "drifted")
        if windows.is_due:
            windows.looked_at = 0
            if place < since:
                continue
            alpha = alpha_of(budget=BUDGET * share, days=monitoring.EVERY / a_day)
            found = look(sample(windows.reference), sample(windows.recent), alpha=alpha, seed=place)
            state = state_after(state, found.state)
            yield place + 1, found, state


@pytest.mark.parametrize("a_day", [15, 30])
def test_simulated_years_without_drift_have_at_most_one_false_start(a_day: int) -> None:
    """A false start: a look that confirms drift after one that did not."""
    starts, looks, days = [], 0, 365 if YEARS else 100
    for year in range(max(YEARS, 1)):
        stream = photos(np.random.default_rng(1000 * a_day + year), days * a_day)
        states = [state == "drifted" for _, _, state in watch(stream, a_day=a_day)]
        starts.append(sum(now and not before for before, now in zip([False, *states], states, strict=False)))
        looks += len(states)
    rate = np.mean(starts) * 365 / days
    rate_words = f"{rate:.3f} false starts a year, {max(starts)} at most"
    print(f"\n{a_day} a day, {len(starts)} x {days} days, {looks} looks: {rate_words}")
    assert sum(starts) <= 1 if not YEARS else rate <= 1


@pytest.mark.parametrize("a_day", [15, 30])
@pytest.mark.parametrize("measure", ["brightness", "sharpness", "probability", EMBEDDING])
def test_simulated_shifts_of_half_a_standard_deviation_are_found_within_200_photos(measure: str, a_day: int) -> None:
    """With half of the budget, as in an installation of several sites."""
    waited, late = [], []
    for number in range(SHIFTED):
        rng = np.random.default_rng(7000 + 10 * number + a_day)
        start = int(rng.integers(1225, 1400))
        stream = photos(rng, start + 250)
        column = slice(len(NAMES), None) if measure == EMBEDDING else NAMES.index(measure)
        stream[start:, column] += 0.5 * np.std(stream[:start, column], axis=0)
        for seen, found, state in watch(stream, a_day=a_day, share=0.5, since=start):
            if state == "drifted":
                waited.append(seen - start)
                assert found.onset is not None
                late.append(abs(seen - monitoring.RECENT + found.onset - start))
                break
        else:
            waited.append(9999)
    share = np.mean([photos <= 200 for photos in waited])
    print(
        f"\n{measure}, {a_day} a day, {SHIFTED} clinics: {share:.1%} found within 200 photos, half within "
        f"{np.median(waited):.0f}; onset wrong by {np.median(late):.0f} photos (median)"
    )
    assert share >= 0.5 if SHIFTED < 50 else share >= 0.9


def test_the_rank_test_keeps_its_level_and_sees_place_and_spread() -> None:
    rng = np.random.default_rng(3)
    p = np.array([shifts.rank_test(rng.normal(size=300), rng.normal(size=60)) for _ in range(1500)])
    assert 0.03 < (p <= 0.05).mean() < 0.07 and (p <= 0.001).mean() < 0.005
    reference = rng.normal(size=400)
    moved, spread = rng.normal(0.5, 1, 200), rng.normal(0, 1.6, 200)
    assert shifts.rank_test(reference, moved) < 1e-4 and shifts.rank_test(reference, spread) < 1e-4
    alone = stats.mannwhitneyu(reference, moved).pvalue
    assert shifts.rank_test(reference, moved) == pytest.approx(2 * alone, rel=0.05)
    wide = stats.mood(reference, spread).pvalue
    assert shifts.rank_test(reference, spread) == pytest.approx(2 * wide, rel=0.5)
    assert shifts.rank_test(np.ones(100), np.ones(50)) == 1
    two = shifts.rank_test(np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [10, 40]))
    table = stats.chi2_contingency([[50, 50], [10, 40]], correction=False).pvalue
    assert two == pytest.approx(2 * table, rel=0.1), "two values are a table of four fields"


def test_the_kernel_test_keeps_its_level_and_sees_what_means_do_not_show() -> None:
    rng = np.random.default_rng(4)
    p = [shifts.kernel_test(rng.normal(size=(80, 8)), rng.normal(size=(40, 8)), alpha=0.01) for _ in range(200)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.06)
    wider = shifts.kernel_test(rng.normal(size=(200, 8)), 1.5 * rng.normal(size=(100, 8)), alpha=0.001)
    assert wider <= 0.001
    auc, low, high = shifts.domain_auc(rng.normal(size=(200, 8)), rng.normal(0.6, 1, (100, 8)))
    assert low < stats.norm.cdf(0.6 * np.sqrt(8) / np.sqrt(2)) < high and auc > 0.8


def test_the_difference_has_the_interval_of_hedges_and_olkin() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(400):
        found = shifts.difference(rng.normal(size=200), rng.normal(0.5, 1, 100))
        inside += found.low < 0.5 < found.high
    assert 0.92 < inside / 400 < 0.98


def test_what_looks_may_spend_adds_up_to_the_budget_however_many_there_are() -> None:
    for a_day in (3, 30, 3000):
        each = alpha_of(budget=0.5, days=50 / a_day)
        assert each * 365 * a_day / 50 == pytest.approx(0.5)
    assert alpha_of(budget=0.5, days=400) == alpha_of(budget=0.5, days=30)


def test_performance_is_estimated_from_calibrated_probabilities() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(200):
        p = rng.beta(0.4, 0.8, 300)
        called = p > 0.4
        truth = rng.random(300) < p
        found = unlabelled.estimate(list(p), list(called))["sensitivity"]
        assert found["low"] is not None and found["high"] is not None
        covered += found["low"] <= (truth & called).sum() / truth.sum() <= found["high"]
    assert covered / 200 > 0.93, "the figure that labels of these photos would show"
    exact = unlabelled.estimate([1.0, 1.0, 0.0, 0.0], [True, False, False, False])
    assert (exact["sensitivity"]["value"], exact["specificity"]["value"], exact["accuracy"]["value"]) == (0.5, 1, 0.75)
    assert unlabelled.estimate([], [])["accuracy"] == {"value": None, "low": None, "high": None, "n": 0}


def test_the_reference_stands_still_while_something_has_drifted() -> None:
    windows: Windows[int] = Windows()
    for number in range(450):
        windows.add(number)
    assert len(windows.reference) == 250 and windows.recent == list(range(250, 450))
    before: list[Any] = list(windows.reference)
    for number in range(450, 500):
        windows.add(number, may_grow=False)
    assert windows.reference == before and windows.recent[0] == 300
