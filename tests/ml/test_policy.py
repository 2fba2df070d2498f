"""The policy: what is sure, what is not, and no invalid number becomes an answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cataract.ml.cascade.policy import Policy, audit_rate, audit_selected, combine, decide, is_unsure, refuse
from cataract.ml.labels import CATARACT, NORMAL, Decision, Reason

RAW = {
    "version": "1",
    "fast_band": {"low": 0.2, "high": 0.8},
    "auto": {"normal_below": 0.1, "cataract_above": 0.9},
    "disagreement_margin": 0.1,
    "accurate_weight": 0.6,
}
POLICY = Policy.from_json(RAW)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1) | st.none()


@pytest.mark.parametrize(
    ("fast", "accurate", "decision", "reasons"),
    [
        (0.05, None, NORMAL, ()),
        (0.95, None, CATARACT, ()),
        (0.1, None, NORMAL, ("uncertain",)),
        (0.9, None, CATARACT, ("uncertain",)),
        (0.5, None, CATARACT, ("uncertain",)),
        (0.02, 0.02, NORMAL, ()),
        (0.98, 0.98, CATARACT, ()),
        (0.3, 0.7, CATARACT, ("uncertain", "disagreement")),
        (0.45, 0.9999, CATARACT, ()),
        (0.0001, 0.61, NORMAL, ("disagreement",)),
        (math.nan, None, Decision.UNGRADABLE, ("invalid_score",)),
        (0.01, math.nan, Decision.UNGRADABLE, ("invalid_score",)),
        (math.inf, None, Decision.UNGRADABLE, ("invalid_score",)),
        (-0.1, None, Decision.UNGRADABLE, ("invalid_score",)),
        (None, None, Decision.UNGRADABLE, ("invalid_score",)),
    ],
)
def test_decisions(fast: float | None, accurate: float | None, decision: str, reasons: tuple[str, ...]) -> None:
    verdict = decide(POLICY, fast, accurate)
    assert (verdict.decision, verdict.reasons) == (decision, reasons)
    assert verdict.needs_review == bool(reasons)


@given(fast=NUMBERS, accurate=NUMBERS)
def test_nothing_is_decided_alone_unless_the_numbers_say_so(fast: float | None, accurate: float | None) -> None:
    verdict = decide(POLICY, fast, accurate)
    if not verdict.needs_review:
        p = verdict.probability
        assert p is not None and (p < 0.1 if verdict.decision == NORMAL else p > 0.9)
    if any(value is not None and not 0 <= value <= 1 for value in (fast, accurate)):
        assert verdict.decision == Decision.UNGRADABLE and verdict.needs_review and verdict.probability is None


def test_concerns_of_the_gate_bring_a_person_in() -> None:
    verdict = decide(POLICY, 0.01, None, concerns=(Reason.QUALITY,))
    assert verdict.needs_review and verdict.reasons == ("quality",) and verdict.decision == NORMAL
    refused = refuse(Reason.OUT_OF_DISTRIBUTION)
    assert refused.needs_review and refused.decision == Decision.UNGRADABLE and refused.probability is None


def test_the_band_that_asks_the_accurate_model() -> None:
    asked = [p for p in (0.0, 0.19, 0.2, 0.5, 0.8, 0.81, 1.0, math.nan) if is_unsure(POLICY, p)]
    assert asked[:3] == [0.2, 0.5, 0.8] and math.isnan(asked[3])


def test_thresholds_of_nought_and_one_leave_everything_to_people() -> None:
    never_sure = Policy.from_json(RAW | {"auto": {"normal_below": 0.0, "cataract_above": 1.0}})
    assert all(decide(never_sure, p, None).needs_review for p in (0.0, 1e-9, 0.5, 1.0))


@given(fast=st.floats(0, 1), accurate=st.floats(0, 1))
def test_the_combination_lies_between_the_two(fast: float, accurate: float) -> None:
    assert min(fast, accurate) - 1e-5 <= combine(POLICY, fast, accurate) <= max(fast, accurate) + 1e-5


@pytest.mark.parametrize(
    "change",
    [
        {"fast_band": {"low": 0.9, "high": 0.1}},
        {"auto": {"normal_below": 0.9, "cataract_above": 0.1}},
        {"accurate_weight": 1.5},
        {"disagreement_margin": math.nan},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Policy.from_json(RAW | change)


def test_the_audit_sample_has_its_rate_and_never_changes() -> None:
    keys = [f"photo-{number}" for number in range(20_000)]
    chosen = [key for key in keys if audit_selected(key, 0.05)]
    assert 0.045 < len(chosen) / len(keys) < 0.055
    assert chosen == [key for key in keys if audit_selected(key, 0.05)]
    assert set(chosen) <= {key for key in keys if audit_selected(key, 0.1)}
    assert not any(audit_selected(key, 0.0) for key in keys) and all(audit_selected(key, 1.0) for key in keys)


def test_the_nearer_to_doubt_the_more_is_sampled_and_never_less_than_the_least() -> None:
    rates = [audit_rate(probability, 0.05) for probability in (0.001, 0.05, 0.1, 0.2, 0.4, 0.6, 0.9, 0.999)]
    assert rates == [0.05, 0.05, 0.1, 0.2, 0.2, 0.2, 0.1, 0.05]
    assert audit_rate(0.5, 0.4) == 1.0 and audit_rate(None, 0.05) == 1.0
