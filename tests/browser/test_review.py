"""Cases are read in the browser: by keyboard alone, by thumb, without JavaScript; every screen is looked at."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from predictions import storage
from predictions.models import EyeImage
from review import services
from review.models import Label, Reading, ReviewCase
from tests.browser.conftest import Site, drawn_eye
from tests.review.makers import make_case, make_image

CASES = 20


@pytest.fixture(autouse=True)
def no_second_reader_by_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = 0.0


def drawn_case(seed: int, decision: str) -> ReviewCase:
    eye = drawn_eye(seed, opacity=0.9 if seed % 2 else 0.0, size=480)
    name, digest = storage.store(eye["buffer"], suffix=".jpg")
    image: EyeImage = make_image(stored_name=name, stored_sha256=digest, width=480, height=480)
    return make_case(decision, image=image)


def start(page: Page) -> None:
    page.goto("/review/")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Does this eye show a cataract?")).to_be_visible()


# Notes, in the page, when each key went down and when the photo of another case was decoded and painted after it.
WATCH = """() => {
  window.spent = [];
  let pressed = 0, before = document.querySelector('[data-photo]')?.src;
  addEventListener('keydown', () => { pressed = performance.now(); }, true);
  document.addEventListener('htmx:afterSwap', async () => {
    const photo = document.querySelector('[data-photo]');
    if (!photo || photo.src === before) return;
    before = photo.src;
    const from = pressed;
    await photo.decode();
    requestAnimationFrame(() => setTimeout(() => window.spent.push(performance.now() - from)));
  });
}"""


def test_twenty_cases_by_keyboard_one_key_when_the_ai_agrees_and_two_when_not(site: Site) -> None:
    for seed in range(CASES):
        drawn_case(seed, "cataract" if seed < CASES - 5 else "normal")
    page = site.log_in("reader")
    start(page)
    page.evaluate(WATCH)
    keys = 0
    for number in range(CASES):
        page.keyboard.press("1")
        keys += 1
        page.wait_for_function("n => window.spent === undefined || document.querySelector('[data-screen=reveal]') || window.spent.length >= n || location.pathname === '/review/'", arg=number + 1)  # fmt: skip # noqa: E501
        if page.locator("[data-screen=reveal]").count():
            page.keyboard.press("Enter")
            keys += 1
            page.wait_for_function("n => window.spent === undefined || window.spent.length >= n || location.pathname === '/review/'", arg=number + 1)  # fmt: skip # noqa: E501
        if number == CASES - 2:
            spent = sorted(page.evaluate("window.spent"))
    page.wait_for_url("**/review/")
    print(
        f"\nkey to next painted case: median {spent[len(spent) // 2]:.0f} ms, p95 {spent[int(len(spent) * 0.95)]:.0f} ms"
    )
    assert keys == CASES + 5
    assert Reading.objects.filter(final_answer="cataract").count() == CASES
    assert Label.objects.count() == CASES - 5
    assert all(seconds is not None for seconds in Reading.objects.values_list("blind_seconds", flat=True))


def test_zoom_and_filters_are_kept_with_the_answer_and_reset_for_the_next_case(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "cataract")
    page = site.log_in("reader")
    start(page)
    for key in ("+", "+", "r", "i", "."):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Red-free")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="Red-free")).to_have_attribute("aria-pressed", "false")
    viewer = Reading.objects.get().viewer
    assert viewer["redfree"] is True and viewer["invert"] is True
    assert viewer["zoom"] == pytest.approx(1.5625) and viewer["brightness"] == pytest.approx(1.1)
    page.keyboard.press("z")
    expect(page.get_by_text("does not train")).to_be_visible()
    assert Reading.objects.get().retracted_at is not None


@pytest.mark.parametrize("javascript", [True, False])
def test_on_a_phone_with_and_without_javascript(site: Site, javascript: bool) -> None:
    drawn_case(1, "normal")
    page = site.log_in("reader", width=360, javascript=javascript, touch=True)
    page.goto("/review/")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Cataract", exact=False).first.click()
    expect(page.get_by_role("heading", name="The AI sees it differently.")).to_be_visible()
    page.get_by_role("button", name="Take the AI's").click()
    expect(page.get_by_text("Saved: no cataract.")).to_be_visible()
    assert Label.objects.get().may_train is False


def test_every_screen_is_looked_at(site: Site, keep: Callable[[Page, str], None]) -> None:
    for seed in range(3):
        drawn_case(seed, "cataract")
    page = site.log_in("reader")
    page.goto("/review/")
    site.look(page, "review-queue")
    keep(page, "review-queue")
    page.set_viewport_size({"width": 1280, "height": 800})
    start(page)
    site.look(page, "review-blind")
    page.set_viewport_size({"width": 1280, "height": 800})
    keep(page, "review-blind")
    page.get_by_text("Grade, doubt or a note").click()
    site.look(page, "review-blind-open")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="The AI sees it differently.")).to_be_visible()
    page.get_by_text("What the AI measured").click()
    site.look(page, "review-reveal")
    keep(page, "review-reveal")
    address = page.url
    page.get_by_role("button", name="Keep mine").click()
    expect(page.get_by_text("Saved: no cataract.")).to_be_visible()
    page.goto(address)
    site.look(page, "review-finished")

    case = ReviewCase.objects.get(status="second")
    second = site.user("reader", "second-reader")
    services.claim_case(case=case, reader=second)
    services.store_blind_answer(case=case, reader=second, answer="cataract", note="White pupil.")
    judge = site.log_in("adjudicator")
    services.claim_case(case=case, reader=site.user("adjudicator"))
    judge.goto(address)
    expect(judge.get_by_role("heading", name="Two readers differ.")).to_be_visible()
    site.look(judge, "review-adjudicate")
    keep(judge, "review-adjudicate")
    other = site.log_in("reader", "third-reader")
    other.goto(address)
    site.look(other, "review-closed")
