"""What a release does on photos of several sources: each figure has the right photos in it."""

import pytest

from cataract.ml.cascade.cascade import Outcome
from cataract.ml.labels import CATARACT, NORMAL, Decision, Route
from cataract.ml.learn.by_source import Judged, by_source


def outcome(decision: str, *, needs_review: bool = False, probability: float | None = None) -> Outcome:
    sure = {CATARACT: 0.95, NORMAL: 0.05, Decision.UNGRADABLE.value: None}[decision]
    return Outcome(
        decision=Decision(decision),
        needs_review=needs_review or sure is None,
        reasons=(),
        probability=sure if probability is None else probability,
        fast_score=None,
        fast_probability=None,
        accurate_score=None,
        accurate_probability=None,
        route=Route.FAST,
        gate={},
        timings={},
        embedding=None,
        policy_version="1",
        release_id="made-up",
        encoder_hash="made-up",
    )


NO_GRADE = outcome(Decision.UNGRADABLE.value)
PHOTOS = [
    *[Judged("web", NORMAL, outcome(NORMAL))] * 6,
    *[Judged("web", NORMAL, outcome(CATARACT))] * 2,
    Judged("web", NORMAL, outcome(CATARACT, needs_review=True, probability=0.6)),
    Judged("web", NORMAL, NO_GRADE),
    *[Judged("web", CATARACT, outcome(CATARACT))] * 4,
    Judged("web", CATARACT, outcome(NORMAL)),
    Judged("phone", "red-eye", outcome(NORMAL)),
    Judged("phone", "red-eye", outcome(CATARACT)),
    *[Judged("phone", "conjunctivitis", outcome(NORMAL, needs_review=True))] * 2,
    *[Judged("phone", "iris-camera", outcome(CATARACT, needs_review=True))] * 3,
    Judged("phone", "fundus", outcome(NORMAL)),
    Judged("phone", "mask", NO_GRADE),
]


def count(entry: dict[str, float]) -> tuple[float, float]:
    return entry["k"], entry["n"]


def test_each_figure_counts_the_photos_that_it_is_about() -> None:
    web = by_source(PHOTOS)["sources"]["web"]
    assert (web["photos"], web["labels"]) == (15, {CATARACT: 5, NORMAL: 10})
    eyes = web["eyes"]
    assert count(eyes["ungradable"]) == (1, 15)
    assert count(eyes["automatic"]) == (13, 15)
    assert count(eyes["wrong_cataract"]) == (2, 8)  # the unsure one went to a person
    assert count(eyes["wrong_normal"]) == (1, 5)
    assert eyes["specificity"]["value"] == pytest.approx(
        6 / 10
    )  # the unsure one was graded wrongly, the ungraded one is referred
    assert eyes["roc_auc"]["n"] == 14
    assert eyes["sensitivity"]["value"] == pytest.approx(4 / 5)
    assert 0.5 < eyes["roc_auc"]["value"] < 1
    assert web["other_conditions"] is web["no_colour"] is web["not_an_eye"] is None


def test_photos_that_no_automatic_answer_is_right_for_are_in_no_error_rate() -> None:
    phone = by_source(PHOTOS)["sources"]["phone"]
    assert phone["eyes"] is None
    other = phone["other_conditions"]
    assert other["photos"] == 4
    assert count(other["closed_alone"]) == (2, 4)
    assert count(other["called_normal"]) == count(other["called_cataract"]) == (1, 4)
    assert count(phone["no_colour"]["closed_alone"]) == (0, 3)
    assert count(phone["not_an_eye"]["closed_alone"]) == count(phone["not_an_eye"]["ungradable"]) == (1, 2)


def test_the_sources_are_pooled_and_intervals_are_exact() -> None:
    result = by_source(PHOTOS)
    assert sorted(result["sources"]) == ["phone", "web"]
    assert result["pooled"]["photos"] == len(PHOTOS)
    assert result["pooled"]["eyes"] == result["sources"]["web"]["eyes"]
    found = by_source([Judged("web", NORMAL, outcome(NORMAL))] * 10)["pooled"]["eyes"]["wrong_cataract"]
    assert (found["value"], found["low"]) == (0, 0)
    assert found["high"] == pytest.approx(1 - 0.025 ** (1 / 10))  # Clopper and Pearson without a success


def test_a_measure_without_photos_does_not_exist() -> None:
    eyes = by_source([Judged("web", NORMAL, NO_GRADE)])["pooled"]["eyes"]
    for name in ("wrong_cataract", "wrong_normal", "sensitivity", "roc_auc", "ece"):
        assert eyes[name]["value"] is None
    assert (eyes["specificity"]["value"], eyes["specificity"]["n"]) == (0, 1), "a healthy eye that goes to a person"
    assert by_source([])["pooled"]["eyes"] is None


def test_an_unknown_label_is_no_kind() -> None:
    with pytest.raises(KeyError):
        by_source([Judged("web", "keratitis", outcome(NORMAL))])
