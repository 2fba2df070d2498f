"""The numbers behind the agreement page, against libraries, textbooks and cases that one can count by hand."""

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from cataract.ml.statistics.intervals import nothing, weighted_share
from review.agreement import estimates

ANSWERS = ["cataract", "normal", "ungradable"]


def two_readers(n: int = 300, seed: int = 1, agree: float = 0.8) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    first = rng.choice(ANSWERS, n, p=[0.3, 0.6, 0.1])
    other = rng.choice(ANSWERS, n, p=[0.3, 0.6, 0.1])
    second = np.where(rng.random(n) < agree, first, other)
    return list(zip(first.tolist(), second.tolist(), strict=True))


def test_kappa_is_that_of_the_library_and_its_interval_holds_it() -> None:
    pairs = two_readers()
    found = estimates.cohen_kappa(pairs, clusters=range(len(pairs)))
    assert found.value == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high
    assert found.n == 300


def test_the_formula_of_the_resamples_is_that_of_the_library() -> None:
    pairs = two_readers(seed=2)
    index = {name: position for position, name in enumerate(ANSWERS)}
    table = np.zeros((3, 3))
    for a, b in pairs:
        table[index[a], index[b]] += 1
    assert estimates._kappa_of(3)(table.reshape(1, 9))[0] == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


def test_alpha_is_that_of_the_library_with_missing_readers() -> None:
    rng = np.random.default_rng(3)
    cases = [list(pair) for pair in two_readers(200, seed=3)]
    for case in cases:
        if rng.random() < 0.3:
            case.append(str(rng.choice(ANSWERS)))
        elif rng.random() < 0.2:
            case.pop()
    counts = [[case.count(name) for name in ANSWERS] for case in cases]
    expected = krippendorff.alpha(value_counts=np.array(counts), level_of_measurement="nominal")
    found = estimates.krippendorff_alpha(cases, clusters=range(len(cases)))
    assert found.value == pytest.approx(expected)
    assert found.n == sum(len(case) > 1 for case in cases)


def test_photos_of_one_patient_are_not_counted_as_independent() -> None:
    pairs = two_readers(150)
    alone = estimates.cohen_kappa(pairs * 2, clusters=range(300))
    together = estimates.cohen_kappa(pairs * 2, clusters=[*range(150), *range(150)])
    assert together.high - together.low > 1.2 * (alone.high - alone.low)  # type: ignore[operator]
    many = weighted_share([1, 0] * 50, np.ones(100))
    few = weighted_share([1, 0] * 50, np.ones(100), [*range(50), *range(50)])
    assert few.high - few.low > many.high - many.low  # type: ignore[operator]


def test_where_nothing_can_be_said_nothing_is_said() -> None:
    assert estimates.share(0, 0).value is None
    assert estimates.cohen_kappa([], []).value is None
    assert estimates.cohen_kappa([("normal", "normal")] * 9, range(9)).value is None
    assert estimates.krippendorff_alpha([["normal"]], [1]) == nothing()
    assert estimates.krippendorff_alpha([["normal", "normal"]] * 5, range(5)).value is None
    assert weighted_share([], []).n == 0
    assert estimates.read_share([], []).shape == (0,)


def test_equal_weights_give_the_plain_share_and_wilson() -> None:
    plain, weighted = estimates.share(7, 10), weighted_share([1] * 7 + [0] * 3, np.full(10, 20.0))
    assert weighted.value == pytest.approx(plain.value)
    assert (weighted.low, weighted.high) == pytest.approx((plain.low, plain.high))


def test_a_sample_without_a_single_miss_still_has_an_interval() -> None:
    found = weighted_share(np.ones(20), [20.0] * 4 + [1.0] * 16)
    assert found.value == 1
    assert found.low is not None and found.low < 0.6


@pytest.mark.parametrize("weight", [[1, 0], [1, -1], [1, float("nan")], [1]])
def test_weights_that_mean_nothing_are_refused(weight: list[float]) -> None:
    with pytest.raises(ValueError):
        weighted_share([1, 0], weight)


def test_each_class_is_weighted_by_what_was_read_of_it() -> None:
    shares = estimates.read_share(["sure", "sure", "doubtful", "sure", "none"], [True, False, True, False, False])
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 1, 1 / 3, 0])
