"""The gates: better passes, worse fails, too few is never a pass, a leak is refused, flips are listed."""

from dataclasses import replace
from typing import Any

import pytest

from training.change_control import gates
from training.change_control.flips import mcnemar
from training.change_control.paired import SIDES, Output, Photo

UNSURE = Output("normal", 0.4, needs_review=True, milliseconds=30.0)


def photo(number: int, *, champion: str = "", challenger: str = "", **values: Any) -> Photo:
    truth = "cataract" if number % 2 else "normal"

    def answer(decision: str) -> Output:
        decision = decision or truth
        probability = {"cataract": 0.95, "normal": 0.05, "ungradable": None}[decision]
        return Output(decision, probability, needs_review=False, milliseconds=30.0)

    return Photo(str(number), number, truth, answer(champion), answer(challenger), **values)


def judge(photos: list[Photo], since: list[Photo] | None = None, **values: Any) -> dict[str, Any]:
    """The report on test photos, and on the same again as newly labelled ones where a test says nothing of these.

    With the lens hidden, both releases send every photo to a person.
    """
    hidden = [replace(each, champion=UNSURE, challenger=UNSURE) for each in photos]
    covered = {"pupil_covered": hidden, "eye_covered": hidden}
    return gates.judge(photos, since=photos if since is None else since, **{"covered": covered, **values})


def wrong(number: int) -> str:
    return "normal" if number % 2 else "cataract"


ENOUGH = 420  # photos, one patient each, half with cataract: where no photo differs, 189 of a class decide


def gate(report: dict[str, Any], id: str, on: str = "test", title: str = "") -> dict[str, Any]:
    return next(row for row in report["gates"] if (row["id"], row["on"]) == (id, on) and title in row["title"])


def test_an_equal_challenger_on_enough_patients_passes() -> None:
    report = judge([photo(n, groups={"site": "a" if n < 210 else "b"}) for n in range(ENOUGH)])
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


def test_what_may_be_worse_is_undecided_and_says_how_many_photos_would_decide() -> None:
    """A hundred patients cannot show that at most 2 points are lost, even where both always decide the same."""
    report = judge([photo(n, groups={"site": "a"}) for n in range(200)])
    row = gate(report, "CC-1")
    assert (report["verdict"], row["verdict"], row["difference"]) == ("too_few", "too_few", 0)
    assert row["low"] == pytest.approx(-0.037, abs=1e-3)
    assert (
        "may be worse by 0.037, where 0.02 is allowed. About 89 more test patients with cataract would" in row["reason"]
    )

    at_the_margin = judge([photo(n, challenger=wrong(n) if n in (1, 101, 201, 301) else "") for n in range(400)])
    row = gate(at_the_margin, "CC-1")
    assert row["verdict"] == "too_few" and "no likely number of photos would decide" in row["reason"]


def test_better_and_equal_releases_are_never_refused_for_good() -> None:
    """Nested errors: the better challenger passes with fewer photos than the equal one."""
    for errors in ((), (1, 3, 5)):
        report = judge([photo(n, champion=wrong(n) if n in errors else "") for n in range(300)])
        assert report["verdict"] != "fail"
    both = [photo(n, champion=wrong(n), challenger=wrong(n)) for n in range(20)]
    only_champion = [photo(n, champion=wrong(n)) for n in range(20)]
    rest = [photo(n) for n in range(20, 300)]
    assert gate(judge([*only_champion, *rest]), "CC-1")["verdict"] == "pass"
    assert gate(judge([*both, *rest]), "CC-1")["verdict"] == "too_few"


def test_refused_photos_are_missing_on_both_sides() -> None:
    """The challenger refuses the photos that it would rank wrongly: no area is gained by it."""
    hard = [photo(n, champion=wrong(n), challenger="ungradable") for n in range(20)]
    row = gate(judge([*hard, *(photo(n) for n in range(20, 420))]), "CC-3")
    assert (row["champion"], row["challenger"], row["n"]) == (1.0, 1.0, 400)


def test_a_challenger_that_refuses_many_photos_fails_although_refusing_refers() -> None:
    report = judge([photo(n, challenger="ungradable" if n % 4 == 0 else "") for n in range(240)])
    assert gate(report, "CC-5")["verdict"] == "fail"


def test_the_test_photos_count_for_what_they_stand_for_and_every_figure_states_its_n() -> None:
    doubtful = [photo(n) for n in range(400)]
    sure = [photo(n, challenger=wrong(n) if n % 10 == 1 else "", weight=20.0) for n in range(1000, 1200)]
    report = judge([*doubtful, *sure], source="all of them, weighted")
    assert report["source"] == "all of them, weighted"
    row = gate(report, "CC-1")
    assert row["challenger"] == pytest.approx(1 - 20 * 20 / (200 + 100 * 20))
    assert (row["n"], report["n"]["images"]) == (300, 600), "a share of the 300 with cataract"
    measured = report["measures"]["challenger"]["sensitivity"]
    assert (measured["value"], measured["n"]) == (pytest.approx(row["challenger"]), 300)
    assert measured["low"] < measured["value"] < measured["high"]
    assert report["figures"]["challenger"]["sensitivity"] == measured["value"]
    assert {point["weight"] for point in report["points"]} == {1.0, 20.0}


# Subgroups ------------------------------------------------------------------------------------------------------------
def test_a_challenger_that_is_worse_in_one_site_only_fails() -> None:
    photos = [
        photo(n, challenger=wrong(n) if n >= 1140 and n % 3 == 0 else "", groups={"site": "b" if n >= 1140 else "a"})
        for n in range(1200)
    ]
    row = gate(judge(photos), "CC-7")
    assert row["verdict"] == "fail"
    assert "site b" in row["reason"]


def test_a_large_subgroup_that_may_be_worse_leaves_the_plan_undecided_and_small_ones_are_named() -> None:
    """Five of a hundred of a site turn wrong: the interval reaches from unchanged to worse than is allowed."""
    sites = {n: "b" if n >= 1000 else "c" if n < 5 else "a" for n in range(1200)}
    turned = {1010, 1030, 1050, 1070, 1090}
    photos = [photo(n, challenger=wrong(n) if n in turned else "", groups={"site": sites[n]}) for n in range(1200)]
    row = gate(judge(photos), "CC-7")
    assert row["verdict"] == "too_few"
    assert "site b: specificity may be worse by 0.1" in row["reason"]
    assert "too few photos in: site c" in row["reason"]


def test_a_small_subgroup_without_a_difference_does_not_leave_the_plan_undecided() -> None:
    sites = {n: "b" if n < 60 else "a" for n in range(ENOUGH)}
    report = judge([photo(n, groups={"site": sites[n]}) for n in range(ENOUGH)])
    assert (report["verdict"], gate(report, "CC-7")["verdict"]) == ("pass", "pass")
    assert "too few photos in: site b" in gate(report, "CC-7")["reason"]


def test_without_a_large_subgroup_nothing_is_said_of_subgroups() -> None:
    assert gate(judge([photo(n) for n in range(ENOUGH)]), "CC-7")["verdict"] == "too_few"


# Labels since the champion was trained --------------------------------------------------------------------------------
def test_worse_on_newly_confirmed_labels_warns_and_the_test_photos_decide() -> None:
    old = [photo(n, groups={"site": "a"}) for n in range(ENOUGH)]
    new = [photo(n, challenger=wrong(n) if n % 4 == 1 else "") for n in range(1000, 1100)]
    report = judge(old, since=new)
    assert report["verdict"] == "pass" and report["reasons"] == []
    assert gate(report, "CC-1", "since")["verdict"] == "warning"
    assert report["warnings"] == [
        w for w in report["warnings"] if "worse on labels since the champion was trained" in w
    ]
    assert {flip["on"] for flip in report["flips"]} == {"since"}


def test_few_newly_confirmed_labels_say_nothing_and_hold_nothing_up() -> None:
    seen = [photo(n, seen_by=("challenger",)) for n in range(1000, 1240)]
    for since in (seen, [photo(n, challenger=wrong(n)) for n in range(1000, 1030)]):
        report = judge([photo(n, groups={"site": "a"}) for n in range(ENOUGH)], since=since)
        row = gate(report, "CC-9", "since")
        assert (report["verdict"], row["verdict"]) == ("pass", "note")
        assert "the plan looks at them from 20 of each on" in row["reason"]


def test_new_labels_count_for_the_photos_they_stand_for() -> None:
    """Doubtful photos are all read, sure ones by a chance of 5 %: 20 errors on sure photos weigh as 400."""
    doubtful = [photo(n) for n in range(1000, 1400)]
    sure = [photo(n, challenger=wrong(n) if n % 5 == 1 else "", weight=20.0) for n in range(2000, 2200)]
    row = gate(judge([photo(n) for n in range(240)], since=[*doubtful, *sure]), "CC-1", "since")
    assert row["challenger"] == pytest.approx(1 - 20 * 20 / (200 + 100 * 20), abs=1e-6)


# Shortcuts ------------------------------------------------------------------------------------------------------------
def covered(challenger: Output, champion: Output = UNSURE, n: int = 60) -> dict[str, list[Photo]]:
    hidden = [replace(photo(number), champion=champion, challenger=challenger) for number in range(n)]
    return {"pupil_covered": hidden, "eye_covered": []}


def test_a_challenger_that_answers_without_seeing_the_pupil_fails() -> None:
    sure = Output("normal", 0.05, needs_review=False, milliseconds=30.0)
    photos = [photo(n, groups={"site": "a"}) for n in range(ENOUGH)]
    report = judge(photos, covered=covered(sure))
    row = gate(report, "CC-10", title="pupil")
    assert (report["verdict"], row["verdict"], row["n"]) == ("fail", "fail", 60)
    assert "60 of 60 are answered without a person" in row["reason"]
    both = judge(photos, covered=covered(sure, champion=sure))
    assert gate(both, "CC-10", title="pupil")["verdict"] == "warning", "the champion is no better"
    few = judge(photos, covered=covered(sure, n=10))
    assert gate(few, "CC-10", title="pupil")["verdict"] == "too_few"


def test_a_challenger_that_tells_the_classes_apart_by_the_background_fails() -> None:
    """It asks a person each time, but its probabilities know the answer."""
    knows = [
        replace(
            each, champion=UNSURE, challenger=replace(UNSURE, probability=0.45 if each.truth == "cataract" else 0.35)
        )
        for each in (photo(n) for n in range(60))
    ]
    report = judge([photo(n) for n in range(60)], covered={"pupil_covered": knows, "eye_covered": knows})
    row = gate(report, "CC-10", title="background")
    assert row["verdict"] == "fail" and "the ROC-AUC of its probabilities is 1.00" in row["reason"]


# The rest -------------------------------------------------------------------------------------------------------------
def test_a_challenger_fitted_on_test_photos_fails() -> None:
    photos = [photo(n, seen_by=("challenger",) if n == 3 else ()) for n in range(240)]
    report = judge(photos)
    assert report["verdict"] == "fail"
    assert any(reason.startswith("CC-8") for reason in report["reasons"])


def test_photos_that_both_releases_were_fitted_on_are_left_out_and_counted() -> None:
    report = judge([photo(n, seen_by=SIDES if n < 60 else ()) for n in range(240)])
    assert report["n"]["seen"] == 60
    assert report["gates"][0]["n"] == 90
    assert report["verdict"] == "too_few"
    assert report["n"]["positive_clusters"] == 90, "100 of each class are needed"


def test_a_slow_challenger_fails() -> None:
    equal = [photo(n, groups={"site": "a"}) for n in range(ENOUGH)]
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
