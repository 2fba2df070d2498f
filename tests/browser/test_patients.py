"""Patients and letters in the browser: every width, both themes, by keyboard and without JavaScript."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone
from playwright.sync_api import expect

from predictions.answering import final_results
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.sites.models import Site as Clinic
from tests.browser.conftest import Site
from tests.factories import EyeImageFactory, PredictionFactory, jpeg_bytes


def photo(site: Site, seed: int, eye: str, days_ago: float, *, opacity: float = 0.0, **values: object) -> Prediction:
    """A rendered eye of P-0042 with its answer, and with what a clinician said of it."""
    said = values.pop("said", "")
    name, _ = storage.store(jpeg_bytes(seed, opacity=opacity), suffix=".jpg")
    image = EyeImageFactory.create(
        uploaded_by=site.user("screener"), patient_key="P-0042", eye=eye, width=320, height=320, stored_name=name,
        captured_at=timezone.now() - timedelta(days=days_ago),
    )  # fmt: skip
    prediction = PredictionFactory.create(image=image, **values)
    if said:
        final_results.settle_by_people(image=image, answer=str(said), basis="single", is_final=True)
    else:
        final_results.settle_by_ai(prediction)
    return prediction


def make_history(site: Site) -> None:
    """Both eyes over three visits: the right one got worse, the left one cannot be judged twice."""
    sure: dict[str, Any] = {"needs_review": False, "reasons": []}
    photo(site, 3, "OD", 200, decision="normal", probability=0.05, **sure)
    photo(site, 4, "OS", 200, decision="normal", probability=0.1, **sure)
    photo(site, 3, "OD", 90, opacity=0.4, decision="normal", probability=0.4)
    photo(site, 5, "OS", 90, decision="ungradable", probability=None, said="ungradable")
    photo(site, 3, "OD", 0, opacity=1.0, decision="normal", probability=0.2, said="cataract", **sure)
    photo(site, 6, "OS", 0, decision="ungradable", probability=None)
    Clinic.objects.update(letterhead="Eye Clinic North\n1 High Street, Northtown\nTelephone 01234 56789")


def test_from_the_list_to_the_letters(site: Site, keep: Callable[..., None]) -> None:
    make_history(site)
    page = site.log_in("screener")
    page.goto("/uploads/")
    page.get_by_role("link", name="Patients").click()
    page.get_by_label("Patient key begins with").fill("p-00")
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients/?key=p-00")
    site.look(page, "patients")
    page.get_by_role("link", name="P-0042").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Right eye (OD): a clinician says: cataract.")
    right, left = page.locator(".eye").nth(0).bounding_box(), page.locator(".eye").nth(1).bounding_box()
    assert right and left and right["x"] < left["x"] and abs(right["y"] - left["y"]) < 1, "side by side"
    expect(page.get_by_text("Refer to an eye doctor: two photos of this eye could not be judged.")).to_be_visible()
    assert "P-0042" not in page.url
    site.look(page, "patient")
    keep(page, "patient", phone=True)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("link", name="Referral letter").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Referral to an eye doctor")
    site.look(page, "referral")
    keep(page, "referral", phone=True)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(media="print")
    expect(page.get_by_role("link", name="Download as PDF")).to_be_hidden()
    expect(page.get_by_text("Signature of the referring clinic")).to_be_visible()
    site.shoot(page, "referral-print")
    page.emulate_media(media="screen")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as PDF").click()
    assert re.fullmatch(r"referral-[0-9a-f]{8}-\d{4}-\d\d-\d\d\.pdf", download.value.suggested_filename)
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")
    page.get_by_role("link", name="Back to the patient").click()
    page.get_by_role("link", name="Result for the patient").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Result of the eye screening")
    site.look(page, "letter")


def test_without_javascript_and_by_keyboard(site: Site) -> None:
    make_history(site)
    page = site.log_in("screener", javascript=False)
    page.goto("/patients/")
    page.get_by_label("Patient key begins with").focus()
    page.keyboard.type("P-0042")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="P-0042").press("Enter")
    page.get_by_role("link", name="Retake the photo").press("Enter")
    expect(page.get_by_label("Patient key")).to_have_value("P-0042")
    expect(page.get_by_label("Left eye (OS)")).to_be_checked()
    expect(page.get_by_text("You are taking a photo again.")).to_be_visible()
