"""A reader reads blind, sees the AI, keeps or changes: with keys, with a thumb, and without JavaScript."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from predictions.answering import services as answering_services
from predictions.answering.models import Prediction
from predictions.photos.facts import PhotoFacts
from predictions.releases import services as releases_services
from predictions.releases import store
from review.cases.models import Reading, ReviewCase
from review.labels.models import Label
from review.queue import opening
from tests.browser.conftest import Site, drawn_eye
from tests.releases import make_tiny_release


@pytest.fixture
def unsure(site: Site, tmp_path: Path) -> None:
    """A champion that is unsure of everything, and three photos that wait for a reader."""
    folder = make_tiny_release(tmp_path / "wide", band="wide")
    releases_services.make_champion(release=store.register_release(folder=folder), user=None, reason="For this test.")
    for seed, opacity in ((21, 1.0), (22, 0.0), (23, 1.0)):
        answering_services.upload_photo(
            data=drawn_eye(seed, opacity=opacity)["buffer"],
            user=site.user("screener"),
            source="upload",
            facts=PhotoFacts(patient_key=f"P-{seed:04}", eye="OD" if seed % 2 else "OS"),
        )
    opening.open_cases()


def start(page: Page) -> ReviewCase:
    """From the queue to the first case, which is returned."""
    page.goto("/review/")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/cases/**")
    expect(page.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
    return ReviewCase.objects.get(pk=page.url.rstrip("/").split("/")[-1])


def ai_says_normal(case: ReviewCase) -> bool:
    assert case.prediction is not None
    return case.prediction.decision == Prediction.Decision.NORMAL


def contrary_key(case: ReviewCase) -> str:
    return "1" if ai_says_normal(case) else "2"


def agreeing_key(case: ReviewCase) -> str:
    return "2" if ai_says_normal(case) else "1"


def test_pages_of_a_review(site: Site, unsure: None, keep: Callable[[Page, str], None]) -> None:
    page = site.log_in("reader")
    page.goto("/review/")
    site.look(page, "queue")
    case = start(page)
    site.look(page, "review-blind")
    keep(page, "review-blind")
    page.get_by_text("Grade, details or a note").click()
    page.set_viewport_size({"width": 360, "height": 740})
    site.shoot(page, "review-details")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("heading", level=1).click()
    page.keyboard.press(contrary_key(case))
    expect(page.get_by_role("heading", level=1)).to_have_text("The AI sees it differently.")
    site.look(page, "review-reveal")
    page.get_by_role("button", name="Keep mine").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.goto(f"/review/cases/{case.pk}/")
    site.look(page, "review-finished")

    other = site.log_in("reader", "second")
    case.refresh_from_db()
    assert case.status == ReviewCase.Status.SECOND
    other.goto(f"/review/cases/{case.pk}/")
    site.look(other, "review-closed")
    other.get_by_role("button", name="Read this case").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
    other.keyboard.press(agreeing_key(case))
    expect(other.get_by_role("status")).to_contain_text("Saved")

    judge = site.log_in("adjudicator")
    judge.goto(f"/review/cases/{case.pk}/")
    judge.get_by_role("button", name="Read this case").click()
    expect(judge.get_by_role("heading", level=1)).to_have_text("Two readers differ. What is it?")
    site.look(judge, "review-adjudicate")
    judge.get_by_label("Why").fill("The lens is white.")
    judge.get_by_role("button", name="Cataract 1", exact=True).click()
    expect(judge.get_by_role("status")).to_contain_text("Saved")
    assert Label.objects.get(case=case).provenance == Label.Provenance.ADJUDICATED


def test_an_empty_queue_says_what_comes_next(site: Site) -> None:
    page = site.log_in("reader")
    page.goto("/review/")
    expect(page.get_by_role("heading", level=1)).to_have_text("No cases yet.")
    site.look(page, "queue-empty")


def test_three_cases_with_the_keyboard_alone(site: Site, unsure: None) -> None:
    page = site.log_in("reader")
    page.goto("/review/")
    page.keyboard.press("s")
    page.wait_for_url("**/cases/**")
    page.evaluate("window.sameDocument = true")
    for number in range(1, 4):
        expect(page.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
        for key in "+]ri0":
            page.keyboard.press(key)
        case = ReviewCase.objects.get(pk=page.url.rstrip("/").split("/")[-1])
        page.keyboard.press(agreeing_key(case))
        expect(page.get_by_role("status")).to_contain_text("Saved")
        assert Reading.objects.count() == number
    page.wait_for_url("**/review/")
    page.keyboard.press("z")
    expect(page.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
    assert Reading.objects.filter(retracted_at__isnull=False).count() == 1
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


def test_viewer(site: Site, unsure: None) -> None:
    page = site.log_in("reader", width=360)
    start(page)
    page.get_by_role("button", name="Larger").click()
    page.get_by_role("button", name="Red-free").click()
    expect(page.get_by_role("button", name="Red-free")).to_have_attribute("aria-pressed", "true")
    site.shoot(page, "review-red-free")
    assert page.evaluate("getComputedStyle(document.querySelector('[data-photo]')).transform") != "none"


def test_reading_without_javascript(site: Site, unsure: None) -> None:
    page = site.log_in("reader", javascript=False, width=360)
    case = start(page)
    page.screenshot(path=site.shots / "review-no-javascript.png", full_page=True)
    mine = "Cataract" if ai_says_normal(case) else "No cataract"
    page.get_by_role("button", name=mine, exact=False).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The AI sees it differently.")
    page.get_by_role("button", name="Take the AI's").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    reading = Reading.objects.get(case=case)
    assert reading.blind_answer != reading.final_answer
    assert reading.ai_shown_at is not None
