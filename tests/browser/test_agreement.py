"""The agreement page is looked at, full and empty; and the review's pictures for the README are made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from predictions.answering import services as answering_services
from predictions.photos.facts import PhotoFacts
from predictions.releases import services as releases_services
from predictions.releases import store
from review.cases.models import ReviewCase
from review.queue import claims, hidden_checks, opening, policy
from review.reading import services as reading_services
from tests.browser.conftest import Site, drawn_eye
from tests.factories import LabelFactory
from tests.releases import make_tiny_release
from tests.review.makers import make_case

CASES = 60


@pytest.fixture(autouse=True)
def no_chance(settings: Any) -> None:
    settings.REVIEW_AI_FIRST_RATE = 0.0


def read(reader: User, case: ReviewCase, answer: str, *, keep: bool = True) -> None:
    case.refresh_from_db()
    assert claims.claim(case, reader)
    reading = reading_services.store_blind_answer(case=case, reader=reader, answer=answer)
    if not reading.final_answer:
        reading_services.store_final_answer(reading=reading, answer=answer if keep else policy.ai_decision(case))


@pytest.fixture
def read_cases(site: Site, settings: Any) -> None:
    """Two readers, an adjudicator and a hidden check now and then have been at work."""
    settings.REVIEW_SECOND_READ_RATE = 0.5
    rng = np.random.default_rng(4)
    readers = [site.user("reader", "anna"), site.user("reader", "ben")]
    judge = site.user("adjudicator", "carla")
    for number in range(CASES):
        true = "cataract" if rng.random() < 0.4 else "normal"
        other = "normal" if true == "cataract" else "cataract"
        sure = number % 3 == 0
        case = make_case(
            true if rng.random() < (0.95 if sure else 0.75) else other,
            reasons=["audit_sample"] if sure else ["uncertain"],
            review_propensity=0.05 if sure else 1.0,
        )
        for reader in readers:
            if case.status in (ReviewCase.Status.FIRST, ReviewCase.Status.SECOND):
                read(reader, case, true if rng.random() < 0.85 else other, keep=rng.random() < 0.7)
                case.refresh_from_db()
        if case.status == ReviewCase.Status.ADJUDICATION:
            assert claims.claim(case, judge)
            reading_services.adjudicate(case=case, adjudicator=judge, answer=true, reason="Seen under the slit lamp.")
    settings.REVIEW_CONTROL_RATE = 1.0
    make_case()
    for number in range(8):
        LabelFactory.create()
        check = hidden_checks.claim_if_drawn(readers[number % 2])
        assert check is not None
        read(readers[number % 2], check, "cataract" if number else "normal")


def test_the_agreement_page_full_and_empty(site: Site, read_cases: None, keep: Callable[[Page, str], None]) -> None:
    page = site.log_in("auditor")
    page.goto("/review/agreement/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Agreement and accuracy")
    expect(page.get_by_role("link", name="Agreement")).to_have_attribute("aria-current", "page")
    site.look(page, "agreement")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    keep(page, "agreement")
    page.get_by_text("Data of").first.locator("..").click()
    expect(page.get_by_role("table").first).to_be_visible()
    site.look(page, "agreement-data")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_the_agreement_page_before_anything_was_read(site: Site) -> None:
    page = site.log_in("admin")
    page.goto("/review/agreement/")
    expect(page.get_by_role("heading", level=1)).to_have_text("No readings yet.")
    site.look(page, "agreement-empty")


def test_pictures_of_the_review(site: Site, tmp_path: Path, settings: Any, keep: Callable[[Page, str], None]) -> None:
    """Queue, both answers, adjudication: one case goes all the way, with synthetic eyes only."""
    settings.REVIEW_SECOND_READ_RATE = 0.0
    folder = make_tiny_release(tmp_path / "wide", band="wide")
    releases_services.make_champion(
        release=store.register_release(folder=folder), user=None, reason="For the pictures."
    )
    for seed, opacity in ((31, 1.0), (32, 0.2), (33, 0.8)):
        answering_services.upload_photo(
            data=drawn_eye(seed, opacity=opacity, size=960)["buffer"],
            user=site.user("screener"),
            source="upload",
            facts=PhotoFacts(patient_key=f"P-{seed:04}", eye="OD" if seed % 2 else "OS"),
        )
    opening.open_cases()
    page = site.log_in("reader")
    page.goto("/review/")
    keep(page, "review-queue")
    page.get_by_role("button", name="Start").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Does this eye show a cataract?")
    case = ReviewCase.objects.get(pk=page.url.rstrip("/").split("/")[-1])
    mine, theirs = ("1", "2") if policy.ai_decision(case) == "normal" else ("2", "1")
    page.keyboard.press(mine)
    expect(heading).to_have_text("The AI sees it differently.")
    _photo_is_there(page)
    keep(page, "review-reveal")
    page.get_by_role("button", name="Keep mine").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")

    second = site.log_in("reader", "second")
    second.goto(f"/review/cases/{case.pk}/")
    second.get_by_role("button", name="Read this case").click()
    expect(second.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
    second.keyboard.press(theirs)
    expect(second.get_by_role("status")).to_contain_text("Saved")

    judge = site.log_in("adjudicator")
    judge.goto(f"/review/cases/{case.pk}/")
    judge.get_by_role("button", name="Read this case").click()
    expect(judge.get_by_role("heading", level=1)).to_have_text("Two readers differ. What is it?")
    _photo_is_there(judge)
    keep(judge, "review-adjudication")


def _photo_is_there(page: Page) -> None:
    expect(page.locator("[data-photo]")).not_to_have_js_property("naturalWidth", 0)
