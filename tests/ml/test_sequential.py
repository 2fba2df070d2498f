"""Tests that may be looked at after every unit: they seldom accept what breaks its limit, and find what worsens."""

from random import Random

import pytest

from cataract.ml.statistics.sequential import (
    Unit,
    evidence_above,
    evidence_below,
    more_without_error,
    upper_bound,
)

ALPHA = 0.05


def draw(rng: Random, share: float, n: int, chance: float = 1.0) -> list[Unit]:
    """`n` units of which this share is wrong, each read with this chance."""
    units = [Unit(rng.random() < share, 1 / chance, 1 / chance) for _ in range(n)]
    return [unit for unit in units if rng.random() < chance]


def first_acceptance(units: list[Unit], limit: float, step: int = 1) -> int | None:
    """After how many units somebody who looks at every `step` of them accepts."""
    looks = range(60, len(units) + 1, step)  # before, not even a perfect record is enough
    return next((n for n in looks if evidence_below(units[:n], limit) >= 1 / ALPHA), None)


def test_looking_after_every_unit_accepts_a_broken_promise_in_at_most_one_of_twenty() -> None:
    accepted = sum(first_acceptance(draw(Random(seed), 0.05, 130), 0.05) is not None for seed in range(200))
    assert accepted / 200 <= ALPHA + 0.03  # two standard errors of 200 runs


def test_a_weighted_sample_accepts_a_broken_promise_as_seldom() -> None:
    accepted = sum(
        first_acceptance(draw(Random(seed), 0.05, 1500, chance=0.2), 0.05, step=10) is not None for seed in range(150)
    )
    assert accepted / 150 <= ALPHA + 0.02


def test_what_keeps_its_promise_is_accepted() -> None:
    accepted = [first_acceptance(draw(Random(seed), 0.01, 400), 0.05, step=10) for seed in range(30)]
    assert sum(n is not None for n in accepted) >= 28


@pytest.mark.parametrize(("limit", "needed"), [(0.01, 327), (0.05, 64)])
def test_how_many_are_missing_is_exact(limit: float, needed: int) -> None:
    assert more_without_error([], limit, ALPHA) == needed  # docs/acceptance.md and rules.py name these numbers
    for units in ([], [Unit(True)], [Unit(False), Unit(True), Unit(True, 1.0)]):
        more = more_without_error(units, limit, ALPHA)
        assert more is not None
        assert evidence_below([*units, *[Unit(False)] * more], limit) >= 1 / ALPHA
        assert evidence_below([*units, *[Unit(False)] * (more - 1)], limit) < 1 / ALPHA
    assert more_without_error([Unit(False)] * (needed + 5), limit, ALPHA) == 0
    more = more_without_error([Unit(True)] * 400, limit, ALPHA)
    assert more is not None and more > 50 * needed, "many errors put it far out of reach"


def test_the_bound_agrees_with_the_evidence() -> None:
    assert upper_bound([], ALPHA) == 1.0
    units = [Unit(index == 40) for index in range(200)]
    bound = upper_bound(units, ALPHA)
    assert 1 / 200 < bound < 0.1
    assert evidence_below(units, bound + 0.001) >= 1 / ALPHA > evidence_below(units, bound - 0.001)
    assert upper_bound([Unit(False)] * 64, ALPHA) <= 0.05 < upper_bound([Unit(False)] * 63, ALPHA)


def test_a_worsening_is_found_after_a_long_good_time_and_a_good_share_raises_no_alarm() -> None:
    def alarm(units: list[Unit]) -> int | None:
        return next((n for n in range(5, len(units) + 1, 5) if evidence_above(units[:n], 0.05) >= 50), None)

    for seed in range(10):
        good, bad = draw(Random(seed), 0.01, 200), draw(Random(seed + 100), 0.3, 60)
        assert alarm(good) is None
        found = alarm([*good, *bad])
        assert found is not None and found <= 200 + 50
    heavy = [Unit(False, 20.0)] * 20 + [Unit(True, 20.0)] * 3
    assert evidence_above(heavy, 0.05) >= 50, "checks at random stand for many: three errors in a row are enough"
