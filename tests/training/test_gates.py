"""The gates: better passes, worse fails, too few is never a pass, a leak is refused, flips are listed."""

from dataclasses import replace
from typing import Any

import pytest

from training.change_control import gates
from training.change_control.gates import mcnemar
from training.change_control.paired import SIDES, Output, Photo
from training.change_control.rules import rules


def photo(number: int, *, champion: str = "", challenger: str = "", **values: Any) -> Photo:
    truth = "cataract" if number % 2 else "normal"

    def answer(decision: str) -> Output:
        decision = decision or truth
        probability = {"cataract": 0.95, "normal": 0.05, "ungradable": None}[decision]
        return Output(decision, probability, needs_review=False, milliseconds=30.0)

    return Photo(str(number), number, truth, answer(champion), answer(challenger), **values)


def judge(photos: list[Photo], since: list[Photo] | None = None) -> dict[str, Any]:
    """The report on test photos, and on the same again as newly labelled ones where a test says nothing of these."""
    return gates.judge(photos, since=photos if since is None else since)


def wrong(number: int) -> str:
    return "normal" if number % 2 else "cataract"


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rules()["comparison"], "bootstrap", 200)


def test_an_equal_challenger_on_enough_patients_passes() -> None:
    report = judge([photo(n, groups={"site": "a" if n < 120 else "b"}) for n in range(240)])
    assert report["verdict"] == "pass"
    assert report["reasons"] == []
    assert report["flips"] == []


def test_the_same_on_few_patients_is_too_few_to_judge_and_not_a_pass() -> None:
    report = judge([photo(n) for n in range(40)])
    assert report["verdict"] == "too_few"
    assert any("the plan asks for 100" in reason for reason in report["reasons"])


def test_no_test_photo_at_all_is_too_few_to_judge() -> None:
    assert judge([])["verdict"] == "too_few"


@pytest.mark.parametrize("patients", [60, 240])
def test_a_clearly_worse_challenger_fails_on_few_and_on_many_patients(patients: int) -> None:
    report = judge([photo(n, challenger=wrong(n) if n % 3 == 0 else "") for n in range(patients)])
    assert report["verdict"] == "fail"
    failing = {gate["measure"] for gate in report["gates"] if gate["verdict"] == "fail"}
    assert {"sensitivity", "specificity"} <= failing


def test_a_challenger_that_refuses_many_photos_fails_although_refusing_refers() -> None:
    report = judge([photo(n, challenger="ungradable" if n % 4 == 0 else "") for n in range(240)])
    assert "ungradable" in {gate["measure"] for gate in report["gates"] if gate["verdict"] == "fail"}


def test_a_challenger_that_is_worse_in_one_site_only_fails() -> None:
    photos = [
        photo(n, challenger=wrong(n) if n >= 1140 and n % 3 == 0 else "", groups={"site": "b" if n >= 1140 else "a"})
        for n in range(1200)
    ]
    verdicts = {gate["id"]: gate for gate in judge(photos)["gates"]}
    assert verdicts["CC-7"]["verdict"] == "fail"
    assert "site b" in verdicts["CC-7"]["reason"]


def test_a_subgroup_that_may_be_worse_is_too_few_to_judge_and_small_ones_are_named() -> None:
    """Two of sixty photos of a site turn wrong: the interval reaches from unchanged to worse than is allowed."""
    sites = {n: "b" if n >= 1140 else "c" if n < 5 else "a" for n in range(1200)}
    photos = [
        photo(n, challenger=wrong(n) if n in (1150, 1152) else "", groups={"site": sites[n]}) for n in range(1200)
    ]
    gate = next(gate for gate in judge(photos)["gates"] if gate["id"] == "CC-7")
    assert gate["verdict"] == "too_few"
    assert "site b: specificity may be worse by 0.1" in gate["reason"]
    assert "too few photos in: site c" in gate["reason"]


def test_without_a_large_subgroup_nothing_is_said_of_subgroups() -> None:
    gate = next(gate for gate in judge([photo(n) for n in range(240)])["gates"] if gate["id"] == "CC-7")
    assert gate["verdict"] == "too_few"


def test_worse_on_newly_confirmed_labels_fails_though_the_test_set_is_fine() -> None:
    old = [photo(n, groups={"site": "a"}) for n in range(240)]
    new = [photo(n, challenger=wrong(n) if n % 4 == 1 else "") for n in range(1000, 1240)]
    report = judge(old, since=new)
    failing = [gate for gate in report["gates"] if gate["verdict"] == "fail"]
    assert report["verdict"] == "fail" and {(gate["on"], gate["id"]) for gate in failing} >= {("since", "CC-1")}
    assert all(gate["on"] == "since" for gate in failing)
    assert "labels since the champion was trained" in failing[0]["reason"]
    assert {flip["on"] for flip in report["flips"]} == {"since"}


def test_no_newly_confirmed_label_is_said_and_is_no_pass() -> None:
    seen = [photo(n, seen_by=("challenger",)) for n in range(1000, 1240)]
    report = judge([photo(n, groups={"site": "a"}) for n in range(240)], since=seen)
    assert report["verdict"] == "too_few"
    assert [reason[:4] for reason in report["reasons"]] == ["CC-9"]
    assert report["since"]["seen"] == 240


def test_new_labels_count_for_the_photos_they_stand_for() -> None:
    """Doubtful photos are all read, sure ones by a chance of 5 %: 20 errors on sure photos weigh as 400."""
    doubtful = [photo(n) for n in range(1000, 1400)]
    sure = [photo(n, challenger=wrong(n) if n % 5 == 1 else "", weight=20.0) for n in range(2000, 2200)]
    report = judge([photo(n) for n in range(240)], since=[*doubtful, *sure])
    gate = next(gate for gate in report["gates"] if gate["on"] == "since" and gate["measure"] == "sensitivity")
    assert gate["challenger"] == pytest.approx(1 - 20 * 20 / (200 + 100 * 20), abs=1e-6)


def test_a_challenger_fitted_on_test_photos_fails() -> None:
    photos = [photo(n, seen_by=("challenger",) if n == 3 else ()) for n in range(240)]
    report = judge(photos)
    assert report["verdict"] == "fail"
    assert any(reason.startswith("CC-8") for reason in report["reasons"])


def test_photos_that_both_releases_were_fitted_on_are_left_out_and_counted() -> None:
    report = judge([photo(n, seen_by=SIDES if n < 60 else ()) for n in range(240)])
    assert report["n"]["seen"] == 60
    assert report["gates"][0]["n"] == 180
    assert report["verdict"] == "too_few"
    assert report["n"]["positive_clusters"] == 90, "100 of each class are needed"


def test_a_slow_challenger_fails() -> None:
    equal = [photo(n, groups={"site": "a"}) for n in range(240)]
    slow = [replace(p, challenger=replace(p.challenger, milliseconds=300.0)) for p in equal]
    assert [reason[:4] for reason in judge(slow)["reasons"]] == ["CC-6"]


def test_flips_are_listed_right_to_wrong_first() -> None:
    report = judge(
        [photo(0), photo(1, champion="normal"), photo(2, challenger="cataract"), photo(3, champion="ungradable")]
    )
    assert [flip["kind"] for flip in report["flips"]] == ["right_to_wrong", "wrong_to_right", "wrong_to_right"]
    assert report["flips"][0]["image"] == "2"


def test_mcnemar_is_the_exact_binomial_test() -> None:
    photos = [photo(n, challenger=wrong(n)) for n in range(1)] + [photo(n, champion=wrong(n)) for n in range(1, 10)]
    # 1 against 9 of 10: 2 * (C(10,0) + C(10,1)) / 2**10
    assert mcnemar(photos) == {"right_to_wrong": 1, "wrong_to_right": 9, "p": pytest.approx(22 / 1024)}
