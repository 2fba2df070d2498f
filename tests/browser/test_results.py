"""The answer comes back: the sender's news, list, filters and result, in a browser."""

from typing import Any

import pytest
from playwright.sync_api import expect

from predictions.answering import final_results
from predictions.answering.models import Prediction
from tests.browser.conftest import Site
from tests.factories import PredictionFactory
from tests.review.test_pages import stored_image

pytestmark = pytest.mark.django_db(transaction=True)


def sent(site: Site, patient: str, decision: str = "normal", **values: Any) -> Prediction:
    """A photo that the screener sent."""
    image = stored_image(patient_key=patient, uploaded_by=site.user("screener"))
    return PredictionFactory.create(image=image, decision=decision, **values)


def test_the_final_result_reaches_its_sender_and_its_amendment_too(site: Site) -> None:
    row = sent(site, "P-41")
    sent(site, "P-42")
    final_results.settle_by_people(image=row.image, answer="normal", basis="double", is_final=True)
    reason = "The lens is dense behind the reflex."
    final_results.settle_by_people(
        image=row.image, answer="cataract", basis="adjudicated", is_final=True, reason=reason
    )
    page = site.log_in("screener")
    page.goto("/upload/")
    page.get_by_role("link", name="1 new answer").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Open the result of P-41").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Clinicians say: cataract.")
    expect(page.locator("main")).to_contain_text(reason)
    expect(page.get_by_role("link", name="new answer")).to_have_count(0)
    site.look(page, "result-amended")
    page.goto("/uploads/")
    page.get_by_role("link", name="Open the result of P-42").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Needs a clinician.")
    site.look(page, "result-unsure")


def test_filters_are_used_saved_and_deleted_without_javascript(site: Site) -> None:
    for patient in ("A-1", "A-2", "B-1"):
        sent(site, patient)
    page = site.log_in("screener", javascript=False)
    page.goto("/uploads/")
    page.get_by_label("Patient key starts with").fill("a-")
    page.get_by_label("Clinician review pending").check()
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Name of this filter").fill("Patients A")
    page.get_by_role("button", name="Save this filter").click()
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Patients A").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_text("More filters").click()
    page.get_by_label("Eye").select_option("OS")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("main")).to_contain_text("No photo matches these filters.")
    page.get_by_role("button", name="Delete the filter Patients A").click()
    expect(page.get_by_role("link", name="Patients A")).to_have_count(0)


def test_the_filters_of_the_list_fit_every_screen(site: Site, settings: Any) -> None:
    settings.SENDS_MAIL = True
    row = sent(site, "P-41", "cataract")
    final_results.settle_by_people(image=row.image, answer="other", detail="pterygium", basis="single", is_final=True)
    page = site.log_in("screener")
    page.goto("/uploads/?state=final&eye=OD")
    site.look(page, "uploads-filtered")
