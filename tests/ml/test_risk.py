"""Automatic answers keep their two promises, in simulated clinics whose truth is known."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cataract.ml.cascade.policy import Policy, audit_rate, decide
from cataract.ml.cascade.risk import (
    RiskLimits,
    choose_thresholds,
    photos_needed,
    promises,
    upper_bound,
    weighted_upper_bound,
)
from cataract.ml.labels import NORMAL
from cataract.ml.learn.build.calibrate import HeldOut, calibrate, final_probability, probabilities

SETS = int(os.environ.get("SIMULATIONS", 200))  # `make simulate` takes more
MANY = 10_000  # photos of each class that stand for the clinic's future
LOOSE = RiskLimits(missed=0.03, false_alarms=0.1)
GOOD, FAIR = (3.2, 3.2), (2.1, 3.0)  # distance of the classes in standard deviations, fast and accurate: AUC .988, .93

Answered = NDArray[np.bool_]
Json = dict[str, Any]


def clinic(n: int, prevalence: float, seed: int, models: tuple[float, float] = GOOD) -> HeldOut:
    """Scores of two models that share most of their noise, on n photos."""
    rng = np.random.default_rng(seed)
    return _scores((rng.random(n) < prevalence).astype(int), rng, models)


def future(models: tuple[float, float] = GOOD) -> HeldOut:
    """The photos that are still to come: MANY normal ones, then MANY cataracts."""
    return _scores(np.repeat([0, 1], MANY), np.random.default_rng(99), models)


def _scores(y: NDArray[np.int64], rng: np.random.Generator, models: tuple[float, float]) -> HeldOut:
    shared = 0.8 * rng.normal(size=len(y))
    fast, accurate = ((d * (shared + 0.6 * rng.normal(size=len(y)) + d * (y - 0.5))).astype(np.float32) for d in models)
    return HeldOut(fast, accurate, y, np.arange(len(y)), "simulated photos")


def served(held: HeldOut, curves: Json, policy: Json) -> tuple[Answered, Answered, Answered]:
    """(answered normal, answered cataract, by the fast model alone) without a person, as booleans (N,)."""
    rules = Policy.from_json(policy)
    fast, accurate = probabilities(held, curves)
    alone = (fast < rules.band_low) | (fast > rules.band_high)
    p = final_probability(policy, fast, accurate)
    differ = ~alone & (np.minimum(fast, accurate) < 0.3) & (np.maximum(fast, accurate) > 0.7)
    return (p < rules.normal_below) & ~differ, (p > rules.cataract_above) & ~differ, alone


def true_risks(held: HeldOut, made: tuple[Json, Json], prevalence: float) -> tuple[float, float]:
    """The share of all cataracts answered normal, and of wrong ones among the answers "cataract"."""
    normal, cataract, _ = served(held, *made)
    wrong, right = (1 - prevalence) * cataract[:MANY].mean(), prevalence * cataract[MANY:].mean()
    return float(normal[MANY:].mean()), float(wrong / (wrong + right)) if wrong else 0.0


@pytest.mark.parametrize(("prevalence", "n"), [(0.02, 8000), (0.05, 4000), (0.1, 2000), (0.3, 700)])
def test_both_promises_hold_at_every_prevalence(prevalence: float, n: int) -> None:
    """Thresholds chosen on SETS samples: a promise is broken in one of twenty at most, and kept by answering."""
    coming, limits, shift = future(), LOOSE, np.log(prevalence / (1 - prevalence))
    one, two, both = (
        1 / (1 + np.exp(-shift - scores))
        for scores in (coming.fast, coming.accurate, (coming.fast + coming.accurate) / 2)
    )
    both[(np.minimum(one, two) < 0.3) & (np.maximum(one, two) > 0.7)] = np.nan
    rng = np.random.default_rng(7)
    broken, on = np.zeros(2), np.zeros(2)
    for _ in range(SETS):
        y = rng.random(n) < prevalence
        rows = rng.integers(MANY, size=n) + MANY * y
        chosen = choose_thresholds(one[rows], both[rows], y, limits)
        alone = one < chosen.fast_low, one > chosen.fast_high
        normal = alone[0] | (~alone[1] & (both < chosen.normal.threshold))
        cataract = alone[1] | (~alone[0] & (both > chosen.cataract.threshold))
        wrong, right = (1 - prevalence) * cataract[:MANY].mean(), prevalence * cataract[MANY:].mean()
        broken += normal[MANY:].mean() > limits.missed, wrong > limits.false_alarms * (wrong + right)
        on += chosen.normal.is_on, chosen.cataract.is_on
    print(f"prevalence {prevalence}: broken {broken / SETS}, on {on / SETS} (missed, false alarms)")
    chance = 3 * np.sqrt(0.05 * 0.95 / SETS)
    assert (broken / SETS <= 0.05 + chance).all()
    assert on[0] / SETS > 0.9 and on[1] / SETS > 0.5, "a side that is always off promises nothing"


@pytest.mark.parametrize("models", [GOOD, FAIR])
def test_they_hold_for_the_calibrated_cascade_with_the_fast_model_answering_alone(models: tuple[float, float]) -> None:
    """Curves, mixing share, thresholds and fast band all come from the same photos."""
    coming, broken, alone = future(models), np.zeros(2), []
    sets = SETS // 3
    for seed in range(sets):
        made = calibrate(clinic(1500, 0.3, seed, models), RiskLimits())
        missed, false = true_risks(coming, made, made[1]["prevalence"])
        broken += missed > 0.01, false > 0.05
        alone.append(served(coming, *made)[2].mean())
    print(f"broken {broken / sets} (missed, false alarms), {np.mean(alone):.0%} by the fast model alone")
    assert (broken / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)).all()
    assert np.mean(alone) > 0.1, "the fast model answers part of the photos alone"


def test_a_rare_disease_is_not_sent_home_unseen() -> None:
    """Where 5 % have a cataract, answering everyone "normal" is right in 95 %: one limit for all errors allowed it."""
    coming = future()
    for seed in range(20):
        few = calibrate(clinic(600, 0.05, seed), RiskLimits())
        assert true_risks(coming, few, 0.05)[0] == 0.0
        assert "more photos with cataract are needed" in few[1]["normal"]["message"]
    enough = [true_risks(coming, calibrate(clinic(9000, 0.05, seed), RiskLimits()), 0.05)[0] for seed in range(10)]
    assert np.median(enough) > 0 and max(enough) < 0.02


def test_the_stated_prevalence_decides_what_a_false_alarm_costs() -> None:
    held, coming = clinic(3000, 0.3, 1), future()
    at = {share: calibrate(held, RiskLimits(), share) for share in (None, 0.3, 0.1, 0.02)}
    for share in (0.3, 0.1, 0.02):
        assert true_risks(coming, at[share], share)[1] <= 0.05 and at[share][1]["prevalence"] == share
    assert at[0.3][1]["cataract"]["threshold"] < 1 == at[0.02][1]["cataract"]["threshold"]
    assert "where 2 % of the eyes have a cataract" in at[0.02][1]["cataract"]["message"]
    assert at[None][1]["prevalence"] == held.y.mean()
    assert [at[share][1]["normal"]["missed"] for share in (0.3, 0.1, 0.02)] == [at[0.3][1]["normal"]["missed"]] * 3


def test_photos_of_one_cluster_count_once() -> None:
    held = clinic(2000, 0.3, 3)
    copied = replace(held, clusters=held.clusters // 20)
    _, policy = calibrate(copied, RiskLimits())
    assert policy["n"] == 100 and policy["normal"]["of"] < 60 and policy["auto"]["normal_below"] == 0.0


def test_the_cascade_serves_what_was_counted() -> None:
    """`served` above mirrors the policy that answers photos; the counts in policy.json are those of it."""
    held = clinic(3000, 0.3, 5, FAIR)
    curves, policy = calibrate(held, RiskLimits())
    rules = Policy.from_json(policy)
    normal, cataract, alone = served(held, curves, policy)
    for row, (fast, accurate) in enumerate(zip(*probabilities(held, curves), strict=True)):
        verdict = decide(rules, fast, None if alone[row] else accurate)
        assert verdict.needs_review != (normal[row] or cataract[row])
        if not verdict.needs_review:
            assert normal[row] == (verdict.decision == NORMAL)
    assert policy["normal"]["missed"] == normal[held.y == 1].sum()
    assert policy["cataract"]["false_alarms"] == cataract[held.y == 0].sum()
    assert policy["cataract"]["found"] == cataract[held.y == 1].sum()
    assert policy["coverage"] == pytest.approx((normal | cataract).mean())


def test_a_mode_without_the_accurate_model_promises_no_less() -> None:
    """The fast model alone answers "normal" only where the cascade would have let it."""
    rules = Policy.from_json(calibrate(clinic(3000, 0.3, 6), RiskLimits())[1])
    assert 0 < rules.band_low < rules.normal_below
    assert not decide(rules, rules.band_low * 0.99, None).needs_review
    assert decide(rules, (rules.band_low + rules.normal_below) / 2, None).reasons == ("uncertain",)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    limits=st.tuples(st.floats(0.005, 0.3), st.floats(0.005, 0.3), st.floats(0.005, 0.3), st.floats(0.005, 0.3)),
)
def test_wider_limits_never_answer_less(seed: int, limits: tuple[float, float, float, float]) -> None:
    held = clinic(400, 0.3, seed, FAIR)
    fast, both = (1 / (1 + np.exp(-scores)) for scores in (held.fast, (held.fast + held.accurate) / 2))
    strict, wide = (
        choose_thresholds(fast, both, held.y, RiskLimits(missed=pick(limits[:2]), false_alarms=pick(limits[2:])))
        for pick in (min, max)
    )
    assert strict.normal.threshold <= wide.normal.threshold
    assert strict.cataract.threshold >= wide.cataract.threshold
    assert strict.coverage <= wide.coverage
    for chosen, limit in ((strict, min(limits[:2])), (wide, max(limits[:2]))):
        assert chosen.normal.bound <= limit if chosen.normal.is_on else chosen.fast_low == 0


def test_a_side_that_is_off_says_why_and_what_is_missing() -> None:
    def messages(p: list[float], y: list[int], **limits: float) -> tuple[str, str]:
        chosen = choose_thresholds(p, p, y, RiskLimits(**limits))
        assert not chosen.normal.is_on or not chosen.cataract.is_on
        return chosen.normal.message, chosen.cataract.message

    normal, cataract = messages([0.01] * 20 + [0.99] * 20, [0] * 20 + [1] * 20)
    assert normal == (
        "No photo is answered normal without a person: with 0 of 20 cataracts missed, up to 13.9 % could be (95 % "
        "confidence), and the limit is 1 %. About 279 more photos with cataract are needed."
    )
    assert "with 0 of 20 normal eyes called cataract, up to" in cataract and "more photos without cataract" in cataract
    assert "the models must err less" in messages([0.01] * 100 + [0.01, *[0.99] * 19], [0] * 100 + [1] * 20)[0]
    unsure = messages([0.01] * 99 + [0.6] * 400, [0] * 99 + [1] * 400)[1]
    assert "the models are sure of 0 of 400 cataracts only" in unsure


def test_perfect_answers_are_all_given() -> None:
    p = [0.01] * 900 + [0.99] * 312
    chosen = choose_thresholds(p, p, [0] * 900 + [1] * 312, RiskLimits())
    assert chosen.coverage == 1.0 and chosen.normal.bound < 0.01 and chosen.cataract.bound < 0.05
    assert chosen.normal.message == (
        "At most 1 % of all cataracts would leave as normal unseen (95 % confidence; 0 of 312 here)."
    )
    assert chosen.cataract.message.startswith(
        "At most 5 % of the automatic cataract answers would be wrong where 25.7 % of the eyes have a cataract"
    )


def test_the_policy_of_an_older_release_still_speaks() -> None:
    old = {"bound": 0.041, "confidence": 0.99, "message": "85% are decided without a person; 1 of 159 was wrong."}
    assert promises(old)[0] == old["message"] and "no limit on missed cataracts" in promises(old)[1]
    assert promises({**old, "message": ""})[0].startswith("At most 4.1 % of the automatic answers are wrong")


@pytest.mark.parametrize(
    "limits", [{"missed": 0.0}, {"missed": 0.5}, {"false_alarms": 0.0}, {"confidence": 1.0}, {"confidence": np.nan}]
)
def test_limits_that_nothing_can_keep_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Limits are"):
        RiskLimits(**limits)


@pytest.mark.parametrize(("y", "prevalence"), [([0, 0], None), ([1, 1], None), ([0, 1], 0.0), ([0, 1], 1.0)])
def test_a_class_without_photos_is_refused(y: list[int], prevalence: float | None) -> None:
    with pytest.raises(ValueError):
        choose_thresholds([0.1, 0.9], [0.1, 0.9], y, RiskLimits(), prevalence)


@pytest.mark.parametrize(("k", "n", "expected"), [(0, 59, 0.04951), (0, 10, 0.2589), (2, 100, 0.06162), (10, 10, 1.0)])
def test_the_exact_bound(k: int, n: int, expected: float) -> None:
    """Values of Clopper and Pearson's one-sided 95 % limit: 1 - 0.05**(1/n) without errors."""
    assert upper_bound(k, n, 0.95) == pytest.approx(expected, abs=2e-4)


def test_how_many_photos_a_limit_needs() -> None:
    """Without an error log(0.05) / log(0.99) = 298.07 of them."""
    assert photos_needed(0, 20, 0.01, 0.95) == 299
    assert photos_needed(1, 100, 0.01, 0.95) is None
    needed = photos_needed(1, 200, 0.01, 0.95)
    assert needed is not None and upper_bound(needed / 200, needed, 0.95) <= 0.01
    assert upper_bound((needed - 1) / 200, needed - 1, 0.95) > 0.01


def read_by_queue(held: HeldOut, made: tuple[Json, Json], seed: int, rate: float = 0.05) -> HeldOut:
    """The photos that people read: all doubtful ones, and of the sure ones the audit sample, with their weights."""
    fast, accurate = probabilities(held, made[0])
    normal, cataract, _ = served(held, *made)
    p = final_probability(made[1], fast, accurate)
    chance = np.where(normal | cataract, [audit_rate(float(each), rate) for each in p], 1.0)
    read = np.random.default_rng(seed).random(len(p)) < chance
    return replace(held, weights=1 / chance).take(read)


QUEUE_LIMITS = RiskLimits(missed=0.05, false_alarms=0.1)


def test_promises_hold_on_labels_that_the_queue_chose() -> None:
    """Doubtful photos are read up to twenty times as often as sure ones: counted alike, they hide the missed ones."""
    coming, sets = future(FAIR), SETS // 10
    broken, alike, on = np.zeros(2), np.zeros(2), np.zeros(2)
    for seed in range(sets):
        first = calibrate(clinic(600, 0.3, seed, FAIR), RiskLimits(missed=0.2, false_alarms=0.2))
        labels = read_by_queue(clinic(6000, 0.3, 1000 + seed, FAIR), first, seed)
        weighted = calibrate(labels, QUEUE_LIMITS)
        for count, made in ((broken, weighted), (alike, calibrate(replace(labels, weights=np.zeros(0)), QUEUE_LIMITS))):
            missed, false = true_risks(coming, made, 0.3)
            count += missed > QUEUE_LIMITS.missed, false > QUEUE_LIMITS.false_alarms
        on += weighted[1]["normal"]["threshold"] > 0, weighted[1]["cataract"]["threshold"] < 1
        assert abs(weighted[1]["prevalence"] - 0.3) < 0.08
    print(f"broken {broken / sets}, without weights {alike / sets}, on {on / sets} (missed, false alarms)")
    assert (broken / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)).all()
    assert alike.max() / sets > 0.3, "without weights the promise is broken"
    assert on[0] / sets > 0.5 and on[1] > 0


def test_a_retraining_answers_about_as_many_photos_as_before() -> None:
    """The patients that are always read calibrate by themselves: labels of doubtful photos switch nothing off."""
    limits, before, after = RiskLimits(missed=0.05, false_alarms=0.1), [], []
    for seed in range(SETS // 10):
        first = calibrate(clinic(600, 0.3, seed), limits)
        arrived = clinic(8000, 0.3, 1000 + seed)
        stream = np.random.default_rng(seed).random(8000) < 520 / 8000  # 20 a week for a year; half of them test
        assert min(np.bincount(arrived.y[stream])) >= 100, "enough of each class to calibrate alone"
        before.append(first[1])
        after.append(calibrate(arrived.take(stream), limits)[1])
    on = [
        [np.mean([0 < p["auto"][side] < 1 for p in made]) for side in ("normal_below", "cataract_above")]
        for made in (before, after)
    ]
    coverage = [np.mean([policy["coverage"] for policy in made]) for made in (before, after)]
    print(f"on before {on[0]}, after {on[1]}; answered alone {coverage}")
    assert (np.array(on[1]) >= np.array(on[0]) - 0.15).all() and coverage[1] > coverage[0] - 0.1


def test_equal_weights_count_as_none_do() -> None:
    held = clinic(1500, 0.3, 8)
    one, two = (calibrate(each, RiskLimits())[1] for each in (held, replace(held, weights=np.full(1500, 7.0))))
    assert one["auto"] == two["auto"] and one["normal"] == two["normal"] and one["cataract"] == two["cataract"]


@pytest.mark.parametrize(("share", "n"), [(0.02, 300), (0.1, 60)])
def test_the_weighted_bound_covers_the_true_share(share: float, n: int) -> None:
    """Where those who are missed are read rarely, the limit of an effective number is too low."""
    rng, sets, below = np.random.default_rng(3), 10 * SETS, np.zeros(2)
    for _ in range(sets):
        wrong = rng.random(4 * n) < share
        chance = np.where(wrong, 0.1, np.where(rng.random(4 * n) < 0.5, 1.0, 0.1))
        read = rng.random(4 * n) < chance
        weights, missed = 0.1 / chance[read], wrong[read]
        effective = weights.sum() ** 2 / (weights**2).sum()
        by_number = float(upper_bound(effective * np.average(missed, weights=weights), effective, 0.95))
        below += weighted_upper_bound(missed, weights, 0.95) < share, by_number < share
    print(f"below the truth: {below[0] / sets}, by an effective number {below[1] / sets}")
    assert below[0] / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert below[1] > below[0]


def test_the_weighted_bound_of_few_photos() -> None:
    """Without an error and with equal weights: all is staked on half of the money, so 1 - (2 * 0.05)..(0.05)."""
    bound = weighted_upper_bound([False] * 100, np.ones(100), 0.95)
    assert 1 - 0.05 ** (1 / 100) < bound < 1 - (0.05 / 2) ** (1 / 100) + 1e-9
    assert weighted_upper_bound([True] * 10, np.ones(10), 0.95) == pytest.approx(1.0)
    assert weighted_upper_bound([False] * 100, np.full(100, 0.1), 0.95) > 0.2, "all of them were likely to be read"
