"""The pages of amendments, outcomes, look-backs and notices are looked at, with and without JavaScript."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from playwright.sync_api import expect

from cataract.ops.notices import worker as notices_worker
from predictions.answering.final_results import settle_by_ai
from predictions.photos import storage
from review.acceptance import worker as acceptance_worker
from review.cases.models import ReviewCase
from review.lookback import services as lookback_services
from review.lookback import worker as lookback_worker
from review.outcomes.facts import OutcomeFacts
from review.outcomes.services import record_outcome
from review.reading import services as reading_services
from tests.browser.conftest import Site
from tests.factories import (
    EyeImageFactory,
    PredictionFactory,
    ReleaseFactory,
    SiteFactory,
    TrainingRunFactory,
    jpeg_bytes,
)
from tests.review.makers import make_case, read


def stored(seed: int, opacity: float = 0.0, **values: Any) -> Any:
    name, digest = storage.store(jpeg_bytes(seed, opacity=opacity), suffix=".jpg")
    return EyeImageFactory.create(stored_name=name, sha256=digest, patient_key=f"P-{seed}", **values)


def test_an_adjudicator_amends_a_case_without_javascript(site: Site) -> None:
    case = make_case("normal", image=stored(1))
    reading_services.store_blind_answer(case=case, reader=site.user("reader"), answer="normal")
    page = site.log_in("adjudicator", javascript=False)
    page.goto("/review/worklist/?state=resolved")
    page.get_by_role("link", name=str(case.pk)[:8]).click()
    page.get_by_role("link", name="Amend or reopen this case").click()
    page.get_by_role("link", name="Show the earlier answers").click()
    expect(page.get_by_text("One reader")).to_be_visible()
    page.get_by_label("Right answer").select_option("cataract")
    page.get_by_label("Why").first.fill("The eye clinic wrote.")
    page.get_by_role("button", name="Amend").click()
    expect(page.get_by_text("Amended: cataract.")).to_be_visible()
    case.refresh_from_db()
    assert case.amendments.get().answer == "cataract"


def test_the_amend_page_is_looked_at(site: Site) -> None:
    case = make_case("normal", image=stored(1))
    reading_services.store_blind_answer(case=case, reader=site.user("reader"), answer="normal")
    page = site.log_in("adjudicator")
    page.goto(f"/review/cases/{case.pk}/amend/?answers=shown")
    site.look(page, "amend")


def test_outcomes_look_backs_and_notices_are_looked_at(site: Site, champion: Any) -> None:
    admin, old, day = (
        site.user("admin"),
        ReleaseFactory.create(id="old-release", status="retired"),
        timezone.localdate(),
    )
    for seed in range(1, 7):
        image = stored(seed, 1.0 if seed % 3 == 0 else 0.0)
        settle_by_ai(PredictionFactory.create(
            image=image, release=old, decision="normal", probability=0.04, needs_review=False, reasons=[]
        ))  # fmt: skip
        facts = OutcomeFacts(f"P-{seed}", "OD", seed % 3 == 0, day, note="Dense nuclear." if seed == 3 else "")
        record_outcome(user=admin, facts=facts)
    page = site.log_in("admin")
    page.goto("/review/outcomes/")
    site.look(page, "outcomes")
    page.get_by_role("link", name="Record an outcome").click()
    site.look(page, "outcome")
    page.goto("/review/outcomes/import/")
    site.expect_complaint("422")
    page.get_by_role("button", name="Record all rows").click()
    expect(page.get_by_text("Choose a CSV file.")).to_be_visible()
    site.look(page, "outcomes-import")

    look_back = lookback_services.start_look_back(user=admin, release=old, by_release=champion, since=day, until=day)
    lookback_worker.sweep(seconds=60)
    page.goto("/review/look-backs/")
    site.look(page, "look-backs")
    page.goto(f"/review/look-backs/{look_back.pk}/")
    page.get_by_label("Send to readers").first.check()
    page.get_by_role("button", name="Send the ticked ones").click()
    expect(page.get_by_text("1 case is waiting for readers.")).to_be_visible()
    site.look(page, "look-back")
    page.goto("/review/look-backs/cleared-wrongly/")
    site.look(page, "cleared-wrongly")

    ReviewCase.objects.update(created_at=timezone.now() - timedelta(hours=40))
    TrainingRunFactory.create(status="failed", error="The disk is full.")
    notices_worker.sweep()
    page.goto("/notices/")
    site.look(page, "notices")
    for address, name in (("/overview/", "overview"), ("/overview/month/", "report"), ("/status/", "status")):
        page.goto(address)
        site.look(page, name)
    page.goto("/notices/")
    page.get_by_role("button", name="Mark as seen").first.click()
    expect(page.get_by_title("Notices you have not seen")).to_have_text("1 notice")


def test_automatic_answers_are_looked_at_and_decided_without_javascript(
    site: Site, champion: Any, settings: Any
) -> None:
    settings.AUTO_ANSWERS = "accepted"
    hillside = SiteFactory.create(name="Hillside clinic")
    read(hillside, "cataract", "cataract", 64)
    read(hillside, "normal", "cataract")
    read(SiteFactory.create(name="Lakeside"), "cataract", "cataract", 5)
    acceptance_worker.judge_sites()
    page = site.log_in("admin", javascript=False)
    page.goto("/review/acceptance/")
    page.get_by_text("Decide about “no sign of cataract” at Hillside clinic").click()
    page.locator("details[open]").get_by_label("Why?").fill("A new camera since Monday.")
    page.locator("details[open]").get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("Done. It holds from the next photo on.")).to_be_visible()
    expect(page.get_by_text("Withdrawn by hand")).to_be_visible()

    page = site.log_in("admin")
    page.goto("/review/acceptance/")
    site.look(page, "acceptance")
    page = site.log_in("screener")
    page.goto("/upload/")
    expect(page.get_by_text("A clinician decides where the AI's answers are not accepted yet.")).to_be_visible()
    site.look(page, "upload-accepted")
