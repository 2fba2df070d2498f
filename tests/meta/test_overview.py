"""The overview and the monthly report: figures by hand, lists behind them, downloads on record, prepared when large."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cataract.core import charts
from cataract.core.audit.models import Act, AuditEntry
from cataract.core.models import Prepared
from cataract.ml.statistics.intervals import median_estimate
from cataract.ops.overview import backlog, figures, worker
from cataract.ops.overview.months import Month
from predictions.answering.models import FinalResult, Prediction
from review.cases.models import Reading, ReviewCase
from tests.factories import DeviceFactory, EyeImageFactory, PredictionFactory, ReaderFactory, SiteFactory, UserFactory
from tests.record import lifted
from tests.review.makers import make_case

pytestmark = pytest.mark.django_db

OCTOBER = datetime(2026, 10, 10, 12, tzinfo=UTC)


def logged_in(role: str) -> Client:
    client = Client()
    client.force_login(UserFactory.create(roles=[role]))
    return client


def sent(at: datetime, **values: Any) -> Prediction:
    prediction = PredictionFactory.create(**values)
    with lifted():
        Prediction.objects.filter(pk=prediction.pk).update(created_at=at, done_at=at)
    return prediction


# Figures --------------------------------------------------------------------------------------------------------------
def test_photos_are_counted_by_local_day_and_by_who_decided(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    timezone.get_default_timezone.cache_clear()  # type: ignore[attr-defined]
    try:
        month = Month.of("2026-10")
        sent(month.since, decision="normal", needs_review=False)
        sent(month.since - timedelta(seconds=1), decision="normal", needs_review=False)
        sent(month.until - timedelta(seconds=1), decision="ungradable", needs_review=True, reasons=["ungradable"])
        days = figures.photos_by_day(month.since, month.until)
    finally:
        settings.TIME_ZONE = "UTC"
        timezone.get_default_timezone.cache_clear()  # type: ignore[attr-defined]
    assert (len(days), days[0]["day"], days[-1]["day"]) == (31, "2026-10-01", "2026-10-31")
    assert days[0] == {"day": "2026-10-01", "sent": 1, "alone": 1, "person": 0, "ungradable": 0, "failed": 0}
    assert days[-1] == {"day": "2026-10-31", "sent": 1, "alone": 0, "person": 1, "ungradable": 1, "failed": 0}
    assert sum(day["sent"] for day in days) == 2


def test_turnaround_is_from_upload_to_the_final_result() -> None:
    for hours, basis in ((1, "single"), (2, "single"), (6, "double"), (0, "ai")):
        FinalResult.objects.create(
            prediction=sent(OCTOBER), answer="normal", basis=basis, status="final", at=OCTOBER + timedelta(hours=hours)
        )
    FinalResult.objects.create(
        prediction=sent(OCTOBER), answer="normal", basis="ai", status="provisional", at=OCTOBER + timedelta(hours=99)
    )
    found = figures.turnaround(OCTOBER, OCTOBER + timedelta(days=9))
    assert (found["people"]["value"], found["people"]["n"], found["ai"]["n"], found["all"]["n"]) == (2, 3, 1, 4)
    assert found["people"]["low"] is None, "three values enclose no median with 95 % confidence"


def test_the_interval_of_a_median_lies_between_two_order_statistics() -> None:
    assert median_estimate([]).value is None
    found = median_estimate(range(101))
    assert (found.value, found.low, found.high, found.n) == (50, 40, 61, 101)
    assert median_estimate([3, 1, 2, 5, 4]).low is None and median_estimate([3, 1, 2, 5, 4, 6]).low == 1


def test_ungradable_photos_are_counted_for_each_camera() -> None:
    site = SiteFactory.create(name="Hill")
    for name, bad, good in (("old phone", 2, 2), ("new phone", 0, 1)):
        device = DeviceFactory.create(site=site, name=name)
        for decision in ["ungradable"] * bad + ["normal"] * good:
            image = EyeImageFactory.create(site=site, device=device)
            sent(OCTOBER, image=image, decision=decision, needs_review=decision != "normal", reasons=["ungradable"])
    old, new = figures.ungradable_by(OCTOBER, OCTOBER + timedelta(days=1), "image__site__name", "image__device__name")
    assert (old["name"], old["n"], old["value"], new["value"]) == ("Hill, old phone", 4, 0.5, 0)
    assert old["low"] < 0.5 < old["high"] and new["high"] > 0.5


def test_the_forecast_goes_on_as_the_last_two_weeks() -> None:
    cases = [{"day": f"2026-10-{day:02}", "opened": 5, "resolved": 3} for day in range(1, 21)]
    assert [day["open"] for day in backlog.past(10, cases)][-3:] == [6, 8, 10]
    days = backlog.expected(10, cases)
    assert [round(day["value"]) for day in days] == [12, 14, 16, 18, 20, 22, 24] and days[0]["day"] == "2026-10-21"
    assert days[6]["low"] < 24 < days[6]["high"]
    assert backlog.in_words(days, 10) == "At the pace of the last 14 days they grow to 24 in 7 days."
    emptied = backlog.expected(4, [{**day, "opened": 1} for day in cases])
    assert backlog.in_words(emptied, 4) == "At the pace of the last 14 days none waits in 2 days."
    assert emptied[-1]["value"] == emptied[-1]["low"] == 0
    readings = {"n": 120, "an_hour": {"value": 60.0}}
    assert backlog.minutes(10, cases, readings) == 20, "two readings a case, one minute each"
    assert backlog.minutes(10, cases, {"n": 0, "an_hour": {"value": None}}) is None


def test_columns_and_lines_say_in_words_what_they_show() -> None:
    svg = charts.columns("Photos a day", [("10-01", (3, 1)), ("10-02", (0, 2))], ("alone", "to a person"))
    assert "<title>Photos a day</title><desc>10-01 3 alone, 1 to a person; 10-02 0 alone, 2 to a person</desc>" in svg
    assert svg.count("<rect") == 3 and "0 alone</text>" in svg
    moments = [charts.Moment("Jan", 0.5, 0.4, 0.6), charts.Moment("Feb", None), charts.Moment("Mar", 0.7, 0.6, 0.8)]
    line = charts.timeline("Share", moments, expected=[charts.Moment("Apr", 0.9, 0.5, 1.0)])
    assert "<desc>Jan 0.50; Apr 0.90</desc>" in line and "today</text>" in line and line.count("<polygon") == 1
    assert "no values yet" in charts.timeline("None", [])


# Pages ----------------------------------------------------------------------------------------------------------------
def test_the_overview_leads_from_each_figure_to_its_list() -> None:
    case = make_case("cataract", image=EyeImageFactory.create(device_name="slit lamp"))
    ReviewCase.objects.filter(pk=case.pk).update(created_at=timezone.now() - timedelta(hours=50))
    page = logged_in("admin").get("/overview/").content.decode()
    assert "1 case has waited longer than agreed." in page and "2 days" in page
    today = timezone.localdate().isoformat()
    for address in (f"/uploads/?since={today}", "/review/worklist/?state=open&amp;oldest=1", "needs_review=false"):
        assert f'href="{address}' in page or address in page
    assert "device=slit+lamp" in page, "each camera leads to its photos"
    assert page.count('<svg class="chart"') == page.count("<summary>Data") >= 3 and "style=" not in page
    client = logged_in("admin")
    for part in page.split('href="')[1:]:
        address = part.split('"')[0].replace("&amp;", "&")
        if address.startswith(("/uploads/", "/review/", "/notices/", "/overview/")):
            assert client.get(address, follow=True).status_code == 200, address


def test_a_manager_sees_figures_and_only_links_that_open() -> None:
    make_case("cataract")
    client = logged_in("manager")
    assert client.get("/")["Location"] == "/overview/"
    page = client.get("/overview/").content.decode()
    assert "Photos today" in page and "/uploads/" not in page and "/notices/" not in page and "/status/" not in page
    assert client.get("/review/worklist/").status_code == client.get("/review/drift/").status_code == 200
    assert logged_in("reader").get("/overview/").status_code == 403


def test_a_month_is_a_page_a_pdf_and_a_csv_and_downloads_are_recorded() -> None:
    sent(OCTOBER, decision="normal", needs_review=False)
    reader = ReaderFactory.create(username="anna")
    reading = Reading.objects.create(
        case=make_case("cataract"), reader=reader, role="first", blind_answer="cataract", blind_seconds=7
    )
    with lifted():
        Reading.objects.filter(pk=reading.pk).update(blind_at=OCTOBER)
    client = logged_in("manager")
    assert client.get("/overview/month/")["Location"].startswith("/overview/month/20")
    page = client.get("/overview/month/2026-10/").content.decode()
    assert "Report of October 2026" in page and "Photos sent" in page and "anna" not in page
    pdf = client.get("/overview/month/2026-10/pdf/")
    assert pdf["Content-Type"] == "application/pdf" and pdf.content.startswith(b"%PDF-") and len(pdf.content) > 5000
    text = b"".join(client.get("/overview/month/2026-10/csv/").streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    rows = {(row["figure"], row["of"]): row for row in csv.DictReader(StringIO(text))}
    assert rows["photos sent", "all"]["value"] == "1" and rows["decided without a person", "answers"]["n"] == "1"
    assert rows["readings an hour", "median"]["value"] == "360.0" and rows["photos sent", "2026-10-10"]["value"] == "1"
    assert "anna" not in text
    exported = AuditEntry.objects.filter(act=Act.EXPORTED)
    assert sorted(entry.detail["format"] for entry in exported) == ["csv", "pdf"]
    for name in ("2026-13", "october", "2999-01", "2026-1"):
        assert client.get(f"/overview/month/{name}/").status_code == 404


def test_the_command_writes_both_files(tmp_path: Path) -> None:
    sent(OCTOBER, decision="normal", needs_review=False)
    call_command("monthly_report", str(tmp_path), month="2026-10", stdout=StringIO())
    assert (tmp_path / "report-2026-10.pdf").read_bytes().startswith(b"%PDF-")
    assert "photos sent,all,1" in (tmp_path / "report-2026-10.csv").read_text(encoding="utf-8-sig")
    assert AuditEntry.objects.get(act=Act.EXPORTED).detail["month"] == "2026-10"
    for given in ("2999-01", "x"):
        with pytest.raises(CommandError):
            call_command("monthly_report", str(tmp_path), month=given, stdout=StringIO())
    with pytest.raises(CommandError):
        call_command("monthly_report", str(tmp_path / "none"), month="2026-10", stdout=StringIO())


# Many photos ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A large installation; the parts that a worker is asked for."""
    names: list[str] = []
    monkeypatch.setattr("cataract.ops.overview.selectors.AT_ONCE", 0)
    monkeypatch.setattr("cataract.ops.overview.views.nudge", lambda _task, name: names.append(name or "overview"))
    return names


def test_a_worker_prepares_the_figures_of_many_photos(asked: list[str]) -> None:
    sent(timezone.now(), decision="normal", needs_review=False)
    client = logged_in("admin")
    assert "A worker is computing these figures" in client.get("/overview/").content.decode()
    assert "A worker is computing this month" in client.get("/overview/month/2026-10/").content.decode()
    assert client.get("/overview/month/2026-10/pdf/")["Location"] == "/overview/month/2026-10/"
    assert asked == ["overview", "2026-10"], "asked once each"
    worker.prepare_overview()
    worker.prepare_month("2026-10")
    assert "As of" in client.get("/overview/").content.decode()
    assert client.get("/overview/month/2026-10/pdf/")["Content-Type"] == "application/pdf"
    Prepared.objects.update(made_at=timezone.now() - timedelta(hours=1))
    assert "a worker is computing newer figures" in client.get("/overview/").content.decode()


def test_the_prepared_page_reads_no_long_table(asked: list[str]) -> None:
    for _ in range(3):
        make_case("cataract")
    worker.prepare_overview()
    client = logged_in("admin")
    client.get("/overview/")
    with CaptureQueriesContext(connection) as queries:
        assert "Photos today" in client.get("/overview/").content.decode()
    long = ("predictions_prediction", "predictions_finalresult", "review_reading", "review_label", "review_reviewcase")
    for sql in [query["sql"] for query in queries]:
        table = sql.partition(" FROM ")[2].partition(" ")[0].strip('"')
        assert table not in long or "LIMIT" in sql, (
            "only the counts that ask whether there are few, and they stop early"
        )
    assert len(queries) <= 22
