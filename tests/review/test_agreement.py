"""The figures of the agreement page, checked by hand on a few cases, and who may see them."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cataract.core import charts, prepared
from cataract.core.charts import Interval
from cataract.core.models import Prepared
from cataract.ml.statistics.intervals import nothing
from review.agreement import in_service
from review.agreement import report as agreement_report
from review.agreement import worker as agreement_worker
from review.agreement.estimates import Measure
from review.cases.models import Reading, ReviewCase, ShownFirst
from review.labels.models import Label
from review.queue import claims, hidden_checks, policy
from review.reading import services
from tests.factories import (
    AdjudicatorFactory,
    EyeImageFactory,
    LabelFactory,
    ReaderFactory,
    ReleaseFactory,
    UserFactory,
)
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0


def read(reader: User, case: ReviewCase, answer: str, *, final: str = "", unsure: bool = False) -> Reading:
    case.refresh_from_db()
    assert claims.claim(case, reader)
    reading = services.store_blind_answer(case=case, reader=reader, answer=answer, unsure=unsure)
    if not reading.final_answer:
        reading = services.store_final_answer(reading=reading, answer=final or answer)
    return reading


def judge(case: ReviewCase, answer: str) -> None:
    case.refresh_from_db()
    person = AdjudicatorFactory.create()
    assert claims.claim(case, person)
    services.adjudicate(case=case, adjudicator=person, answer=answer, reason="Seen.")


def values(measures: list[Measure]) -> dict[str, Any]:
    return {measure.name: (measure.estimate.value, measure.estimate.n) for measure in measures}


# Readers --------------------------------------------------------------------------------------------------------------
def test_kappa_and_alpha_of_cases_that_two_people_read(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = 1.0
    anna, ben = ReaderFactory.create(username="anna"), ReaderFactory.create(username="ben")
    for first, second in [("cataract", "cataract")] * 3 + [("normal", "normal")] * 2 + [("cataract", "normal")]:
        case = make_case(first)
        read(anna, case, first)
        read(ben, case, second)
    found = values(agreement_report.report().between)
    assert found["Cohen's kappa, random share"] == (pytest.approx(2 / 3), 6)
    assert found["Krippendorff's alpha, random share"] == (pytest.approx(0.6857, abs=1e-4), 6)


def test_cases_that_a_reader_found_difficult_are_no_random_share() -> None:
    case = make_case("cataract")
    read(ReaderFactory.create(), case, "cataract", unsure=True)
    read(ReaderFactory.create(), case, "normal", final="normal")
    found = values(agreement_report.report().between)
    assert found["Cohen's kappa, random share"][1] == 0
    assert found["Cohen's kappa, all read twice"][1] == 1


def test_the_random_share_is_the_draw_of_the_queue(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = 0.5
    drawn = []
    for _ in range(24):
        case = make_case("cataract")
        read(ReaderFactory.create(), case, "cataract")
        case.refresh_from_db()
        drawn.append(case.status == ReviewCase.Status.SECOND)
        assert drawn[-1] == policy.is_read_twice_by_chance(case.pk)
    assert 0 < sum(drawn) < 24


def test_each_reader_against_what_an_adjudicator_decided() -> None:
    anna, ben = ReaderFactory.create(username="anna"), ReaderFactory.create(username="ben")
    case = make_case("cataract")
    read(anna, case, "normal", final="normal")
    read(ben, case, "cataract")
    judge(case, "cataract")
    first, second = agreement_report.report().confusions
    assert (first.reader, first.sensitivity.value, first.specificity.n) == ("anna", 0, 0)
    assert (second.reader, second.sensitivity.value) == ("ben", 1)
    assert first.rows == [("Cataract", [0, 1, 0, 0, 0])]


def test_controls_and_repeats_count_for_the_reader_alone(settings: Any) -> None:
    settings.REVIEW_CONTROL_RATE = 1.0
    anna = ReaderFactory.create(username="anna")
    for _ in range(3):
        LabelFactory.create()
    make_case()
    for answer in ("cataract", "normal", "cataract"):
        case = hidden_checks.claim_if_drawn(anna)
        assert case is not None
        read(anna, case, answer)
    report = agreement_report.report()
    assert values(report.controls) == {"All readers": (pytest.approx(2 / 3), 3), "anna": (pytest.approx(2 / 3), 3)}
    assert values(report.repeats)["All readers"] == (None, 0)
    assert report.confusions[0].n == 3
    assert values(report.between)["Cohen's kappa, all read twice"][1] == 0


# Readers and the AI ---------------------------------------------------------------------------------------------------
def test_the_report_counts_switches_where_the_truth_is_settled() -> None:
    readers = [ReaderFactory.create() for _ in range(2)]
    for final, truth in (("cataract", "cataract"), ("cataract", "normal"), ("normal", "normal")):
        case = make_case("cataract")
        read(readers[0], case, "normal", final=final, unsure=True)  # unsure: a second reader is asked in any case
        read(readers[1], case, "ungradable", final="ungradable")
        judge(case, truth)
    differed = agreement_report.report().differed
    assert (differed.shown, differed.known) == (6, 6)
    found = values(differed.measures)
    assert found["Overruled the AI: kept the blind answer"] == (pytest.approx(4 / 6), 6)
    assert found["Wrong, then right"] == (pytest.approx(1 / 6), 6)
    assert found["Right, then wrong"] == (pytest.approx(1 / 6), 6)
    assert dict(differed.switches)["right, and kept"] == 1


def test_a_label_that_followed_the_ai_is_no_truth() -> None:
    read(ReaderFactory.create(), make_case("cataract"), "normal", final="cataract")
    assert Label.objects.get().provenance == Label.Provenance.AFTER_AI
    differed = agreement_report.report().differed
    assert (differed.shown, differed.known) == (1, 0)


def test_readings_with_the_ai_shown_first_are_counted_apart(settings: Any) -> None:
    read(ReaderFactory.create(), make_case("cataract"), "normal", final="normal")
    settings.REVIEW_AI_FIRST_RATE = 1.0
    case, reader = make_case("cataract"), ReaderFactory.create()
    assert claims.claim(case, reader)
    services.show_ai_first(case=case, reader=reader)
    assert ShownFirst.objects.count() == 1
    services.store_blind_answer(case=case, reader=reader, answer="cataract")
    found = values(agreement_report.report().anchoring)
    assert found == {"Read blind": (0, 1), "The AI shown first": (1, 1)}


# The AI in service ----------------------------------------------------------------------------------------------------
def test_each_read_photo_stands_for_as_many_as_its_chance_says() -> None:
    reader = ReaderFactory.create()
    for _ in range(4):
        read(reader, make_case("cataract"), "cataract")
    missed = make_case("normal", reasons=["audit_sample"], review_propensity=0.05)
    read(reader, missed, "cataract", final="cataract")
    read(ReaderFactory.create(), missed, "cataract", final="cataract")
    found = values(in_service.measures(in_service.rows()))
    assert found["Sensitivity, all photos"] == (pytest.approx(4 / 24), 5)
    assert found["Sensitivity, unweighted"] == (pytest.approx(4 / 5), 5)
    assert found["Sure answers that were correct"] == (pytest.approx(0), 1)
    assert in_service.counts(in_service.rows()) == {
        "chosen": 5, "read": 5, "after_ai": 0, "neither": 0, "cannot_judge": 0,
    }  # fmt: skip


def test_a_photo_that_the_ai_cannot_judge_counts_as_sent_on(client: Client) -> None:
    """As in the gates and in `evaluate`: no cataract is missed by it, and a healthy eye is referred by it."""
    reader = ReaderFactory.create()
    for decision, truth in (("ungradable", "cataract"), ("ungradable", "normal"), ("normal", "normal")):
        case = make_case(
            decision, needs_review=True, reasons=["ungradable" if decision == "ungradable" else "uncertain"]
        )
        read(reader, case, truth, final=truth)
        read(ReaderFactory.create(), case, truth, final=truth)
    found = values(in_service.measures(in_service.rows()))
    assert found["Sensitivity, all photos"] == (1, 1) and found["Specificity, all photos"] == (0.5, 2)
    assert in_service.counts(in_service.rows())["cannot_judge"] == 2
    client.force_login(UserFactory.create(roles=["auditor"]))
    assert "2 of them that the AI could not judge" in client.get(reverse("review:agreement")).content.decode()


def of_stream(decision: str, *reasons: str) -> ReviewCase:
    image = EyeImageFactory.create(always_read=True, always_read_rate=0.03)
    return make_case(decision, reasons=[*reasons, "always_read"], image=image)


def test_the_stream_gives_the_figures_unweighted_once_it_suffices(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_service, "ENOUGH", 2)
    client.force_login(UserFactory.create(roles=["auditor"]))

    def page() -> str:
        return client.get(reverse("review:agreement")).content.decode()

    one, two = ReaderFactory.create(), ReaderFactory.create()
    for _ in range(3):
        read(one, make_case("normal", reasons=["audit_sample"], review_propensity=0.05), "normal")
        read(one, of_stream("normal"), "normal")
    read(one, of_stream("cataract", "uncertain"), "cataract")
    few = values(in_service.measures(in_service.rows()))
    assert few["Specificity, all photos"] == (1, 6) and "Specificity, unweighted" in few
    assert "4 of 4 photos are read so far (patients with cataract: 1, without: 3)" in page()

    missed = of_stream("normal")
    read(one, missed, "cataract", final="cataract")
    assert "4 of 5 photos are read so far" in page(), "a photo on which a second reader is asked counts when it is read"
    read(two, missed, "cataract", final="cataract")
    found = values(in_service.measures(in_service.rows()))
    assert found == {
        "Sensitivity, all photos": (0.5, 2),
        "Specificity, all photos": (1, 3),
        "Sure answers that were correct": (0.75, 4),
    }
    assert "5 of 5 such photos are read" in page() and "patients always read, unweighted" in page()
    (month,) = in_service.cataract_by_month()
    assert (month.estimate.value, month.estimate.n) == (0.4, 5) and "Cataract among patients always read" in page()


def test_a_stream_that_is_mostly_unread_gives_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_service, "ENOUGH", 1)
    read(ReaderFactory.create(), of_stream("normal"), "normal")
    read(ReaderFactory.create(), of_stream("cataract"), "cataract")
    assert len(in_service.of_stream(in_service.rows())) == 2
    of_stream("normal")
    assert in_service.of_stream(in_service.rows()) == []


def test_nothing_read_gives_no_figures() -> None:
    make_case()
    assert all(measure.estimate == nothing() for measure in in_service.measures(in_service.rows()))
    report = agreement_report.report()
    assert report.readings == 0
    assert all(measure.estimate.value is None for measure in [*report.between, *report.differed.measures])


# The page -------------------------------------------------------------------------------------------------------------
def test_who_may_look(client: Client) -> None:
    for person, status in (
        (UserFactory.create(roles=["admin"]), 200),
        (UserFactory.create(roles=["auditor"]), 200),
        (AdjudicatorFactory.create(), 200),
        (ReaderFactory.create(), 403),
        (UserFactory.create(roles=["screener"]), 403),
    ):
        client.force_login(person)
        assert client.get(reverse("review:agreement")).status_code == status


def test_the_page_shows_each_figure_with_interval_n_and_data(client: Client) -> None:
    anna = ReaderFactory.create(username="anna<script>")
    case = make_case("cataract")
    read(anna, case, "normal", final="normal")
    read(ReaderFactory.create(), case, "cataract")
    judge(case, "cataract")
    client.force_login(UserFactory.create(roles=["auditor"]))
    page = client.get(reverse("review:agreement")).content.decode()
    assert page.count('<svg class="chart"') == page.count("<summary>Data") >= 6
    assert "anna&lt;script&gt;" in page and "anna<script>" not in page
    assert re.search(r"0\.00 \(0\.00 to 0\.\d\d\), n 1", page)
    assert "style=" not in page
    for days in ("30", "x", ""):
        assert client.get(reverse("review:agreement"), {"days": days}).status_code == 200


def test_each_release_has_its_own_figures_where_there_are_several(client: Client) -> None:
    reader = ReaderFactory.create()
    for name in ("release-one", "release-two"):
        read(reader, make_case("cataract", release=ReleaseFactory.create(id=name)), "cataract")
    client.force_login(UserFactory.create(roles=["auditor"]))
    page = client.get(reverse("review:agreement")).content.decode()
    assert "Release release-one" in page and "Release release-two" in page


def test_the_page_asks_few_questions_of_the_database(client: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(10):
        read(ReaderFactory.create(), make_case("cataract"), "cataract")
    client.force_login(UserFactory.create(roles=["auditor"]))
    client.get(reverse("review:agreement"))
    with django_assert_max_num_queries(14):
        client.get(reverse("review:agreement"))


def test_a_plot_says_in_words_what_it_shows() -> None:
    svg = charts.intervals("Test", [Interval("a <b>", 0.5, 0.25, 0.75, 8), Interval("none", None, None, None, 0)])
    assert "<title>Test</title><desc>a &lt;b&gt; 0.50 (0.25 to 0.75), n 8; none not enough to say, n 0</desc>" in svg
    assert svg.count("<circle") == 1
    assert charts.bars("Counts", [("x", 0), ("y", 4)]).count("<rect") == 4
    assert charts.bars("Counts", []).startswith("<svg")


def test_a_worker_computes_the_figures_of_many_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("review.agreement.views.AT_ONCE", 0)
    monkeypatch.setattr("review.agreement.views.nudge", lambda _task, days: asked.append(days))
    read(ReaderFactory.create(), make_case(), "normal")
    client = Client()
    client.force_login(UserFactory.create(roles=["auditor"]))
    for _ in range(2):
        page = client.get(reverse("review:agreement")).content.decode()
        assert "A worker is computing these figures" in page and 'http-equiv="refresh"' in page
    assert asked == [""], "two pages ask once"
    agreement_worker.prepare_figures("")
    page = client.get(reverse("review:agreement")).content.decode()
    assert "1 reading." in page and "Computed at" in page and 'http-equiv="refresh"' not in page
    Prepared.objects.update(made_at=timezone.now() - prepared.FRESH)
    page = client.get(reverse("review:agreement")).content.decode()
    assert "1 reading." in page and "computing newer figures" in page and asked == ["", ""]
