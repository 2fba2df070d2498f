"""The desk under a reader's hands: hammered keys, other keyboards, a phone, a lost connection, an ended session."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Page, expect

from predictions.photos.models import EyeImage
from review.cases.models import Concern, Draft, Reading, ReviewCase
from review.reading import services
from tests.browser.conftest import Site
from tests.browser.test_reading import drawn_case, start
from tests.factories import PatientFactory

PASSWORD = "a-long-password-for-this-test"
PRESS = """([key, code, more]) => (document.activeElement ?? document.body).dispatchEvent(
    new KeyboardEvent('keydown', { key, code, bubbles: true, cancelable: true, ...more }))"""
HAMMER = """async ([presses, every]) => {
  for (let press = 0; press < presses; press += 1) {
    const event = { key: '1', code: 'Digit1', bubbles: true, cancelable: true };
    (document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent('keydown', event));
    await new Promise((go) => setTimeout(go, every));
  }
}"""
ON_SCREEN = """(selector) => [...document.querySelectorAll(selector)].every((element) => {
  const box = element.getBoundingClientRect();
  return box.height > 20 && box.top >= 0 && box.bottom <= innerHeight + 0.5 && box.right <= innerWidth + 0.5;
})"""


@pytest.fixture
def guarded(settings: Any) -> None:
    """The pace of the product."""
    settings.REVIEW_TOO_FAST_SECONDS, settings.REVIEW_QUICK_SECONDS, settings.REVIEW_SLIP_SECONDS = 0.5, 1.5, 4


def looked(page: Page) -> None:
    """Wait as long as a person looks: the guard is over, and it is no quick look."""
    page.locator("#case[data-open]").wait_for()
    page.wait_for_timeout(1100)


def press(page: Page, key: str, code: str, **more: Any) -> None:
    page.evaluate(PRESS, [key, code, more])


@pytest.mark.parametrize("every", [50, 250, 500])
def test_hammered_keys_store_no_unseen_answer(site: Site, guarded: None, every: int) -> None:
    hammer(site, every, presses=2500 // every)


@pytest.mark.fault
@pytest.mark.parametrize("every", [50, 120, 180, 250, 310, 400, 500])
def test_two_hundred_hammered_keys(site: Site, guarded: None, every: int) -> None:
    hammer(site, every, presses=200)


def hammer(site: Site, every: int, presses: int) -> None:
    for seed in range(4):
        drawn_case(seed, "cataract" if seed % 2 else "normal")
    page = site.log_in("reader")
    start(page)
    looked(page)
    page.evaluate(HAMMER, [presses, every])
    assert Reading.objects.count() == 1, "the one that was looked at"
    assert Reading.objects.get().pace is None


def test_a_quick_answer_is_kept_with_enter_or_looked_at_again(site: Site, guarded: None) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "cataract")
    page = site.log_in("reader")
    start(page)
    page.locator("#case[data-open]").wait_for()
    page.keyboard.press("1")
    expect(page.get_by_text("Quick look. Keep?")).to_be_visible()
    page.keyboard.press("1")
    site.look(page, "review-quick")
    page.locator("#case[data-open]").wait_for()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Saved")
    assert Reading.objects.get().pace == "quick"


def test_a_reveal_waits_for_a_slip_and_takes_enter_everywhere_but_no_hidden_key(site: Site, guarded: None) -> None:
    case = drawn_case(1, "normal")
    page = site.log_in("reader")
    start(page)
    looked(page)
    for key in ("+", "+", "r"):
        page.keyboard.press(key)
    page.keyboard.press("1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Saved: cataract.")
    site.shoot(page, "review-held")
    page.keyboard.press("z")
    expect(page.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
    assert page.get_by_text("does not train").count() == 0
    looked(page)
    for key in ("+", "+", "r"):
        page.keyboard.press(key)
    page.keyboard.press("1")
    expect(page.get_by_role("heading", level=1)).to_have_text("The AI sees it differently.")
    expect(page.get_by_role("button", name="Red-free")).to_have_attribute("aria-pressed", "true")
    assert "zoom" in page.locator("[data-readout]").inner_text(), "the place is kept, too"
    looked(page)
    page.keyboard.press("2")
    assert Reading.objects.standing().get().final_answer == ""
    page.get_by_text("AI details").click()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("The AI sees it differently.")
    reading = Reading.objects.standing().get()
    assert (reading.case_id, reading.final_answer, reading.ai_shown_first) == (case.pk, "cataract", False)


def test_french_cyrillic_and_arabic_keyboards_and_altgr(site: Site) -> None:
    for seed in (1, 3, 5):
        drawn_case(seed, "cataract")
    page = site.log_in("reader")
    start(page)
    red_free, readout = page.get_by_role("button", name="Red-free"), page.locator("[data-readout]")
    press(page, "к", "KeyR")
    expect(red_free).to_have_attribute("aria-pressed", "true")
    press(page, "ق", "KeyR")
    expect(red_free).to_have_attribute("aria-pressed", "false")
    press(page, "Process", "KeyR", keyCode=229)
    expect(red_free).to_have_attribute("aria-pressed", "true")
    press(page, "]", "Digit9", ctrlKey=True, altKey=True)
    expect(readout).to_contain_text("contrast 110 %")
    press(page, "à", "Digit0")
    expect(readout).to_be_empty()
    press(page, "a", "KeyQ")  # a French A: nothing to take yet, and not the key that a US keyboard has there
    expect(page.locator("#ask_kind_0")).to_be_hidden()
    press(page, "!", "Digit1", shiftKey=True)
    assert not Reading.objects.exists()
    press(page, "&", "Digit1")
    expect(page.get_by_role("status")).to_contain_text("Saved: cataract")
    press(page, "١", "Digit1")
    page.wait_for_function("() => document.querySelector('[data-progress]').textContent.startsWith('2 of 3')")


def test_doubt_grade_and_details_have_keys(site: Site) -> None:
    drawn_case(1, "cataract")
    page = site.log_in("reader")
    start(page)
    page.keyboard.press("k")
    expect(page.get_by_label("Fairly sure")).to_be_checked()
    page.keyboard.press("l")
    expect(page.get_by_label("Unsure", exact=False).first).to_be_checked()
    page.keyboard.press("g")
    page.keyboard.press("g")
    expect(page.get_by_label("Mature", exact=True)).to_be_checked()
    page.keyboard.press("t")
    page.keyboard.type("White lens 12.")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.wait_for_url("**/review/")
    reading = Reading.objects.get()
    assert (reading.confidence, reading.grade, reading.note) == ("unsure", "mature", "White lens 12.")


def test_an_adjudicator_is_told_to_say_why_and_digits_go_where_they_are_typed(site: Site) -> None:
    case = drawn_case(1, "cataract")
    for name, answer in (("one", "normal"), ("two", "cataract")):
        reader = site.user("reader", name)
        services.claim_case(case=case, reader=reader)
        reading = services.store_blind_answer(case=case, reader=reader, answer=answer)
        services.store_final_answer(reading=reading, answer=answer)
        case.refresh_from_db()
    services.claim_case(case=case, reader=site.user("adjudicator"))
    page = site.log_in("adjudicator")
    site.expect_complaint("422")
    page.goto(f"/review/cases/{case.pk}/")
    page.keyboard.press("1")
    expect(page.get_by_text("Say why in a few words")).to_be_visible()
    site.look(page, "review-adjudicate-why")
    expect(page.locator("#id_reason")).to_be_focused()
    page.keyboard.type("1 white lens")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/review/")
    reading = Reading.objects.get(role="adjudicator")
    assert (reading.note, reading.final_answer) == ("1 white lens", "cataract")


def test_a_phone_shows_photo_and_answers_on_one_screen(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "cataract")
    page = site.log_in("reader", width=360, touch=True)
    page.set_viewport_size({"width": 360, "height": 620})
    page.goto("/review/")
    page.get_by_role("button", name="Start").tap()
    page.wait_for_url("**/cases/**")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        page.screenshot(path=site.shots / f"desk-360x620-{theme}.png")
    assert page.evaluate(ON_SCREEN, ".viewer > .viewer__stage, .bar [name=answer]")
    assert page.locator("[data-photo]").bounding_box()["height"] > 250  # type: ignore[index]
    page.get_by_role("button", name="Cataract", exact=True).tap()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    assert page.evaluate(ON_SCREEN, ".viewer > .viewer__stage, .bar [name=answer]")


@pytest.mark.parametrize(("width", "height"), [(640, 400), (320, 256), (1280, 800)])
def test_at_200_and_400_percent_nothing_is_lost(site: Site, width: int, height: int) -> None:
    drawn_case(1, "cataract")
    page = site.log_in("reader")
    page.set_viewport_size({"width": width, "height": height})
    start(page)
    page.screenshot(path=site.shots / f"desk-{width}x{height}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("[data-progress]").bounding_box()["height"] < 50  # type: ignore[index]
    if width > 320:
        assert page.evaluate(ON_SCREEN, ".viewer > .viewer__stage, .bar [name=answer]")
    else:
        assert page.locator(".viewer > .viewer__stage").bounding_box()["height"] >= 140  # type: ignore[index]


def test_zoom_to_the_pointer_the_pupil_and_real_pixels(site: Site) -> None:
    drawn_case(1, "cataract")
    page = site.log_in("reader")
    start(page)
    place = page.locator("[data-photo]").bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 100, place["y"] + 100)
    page.mouse.wheel(0, -400)
    shown = page.evaluate("[view.zoom, view.x > 0, view.y > 0]")
    assert shown == [pytest.approx(2.718, abs=0.01), True, True], "what is under the pointer stays there"
    page.keyboard.press("=")
    expect(page.locator("[data-readout]")).to_have_text("zoom 100 %")
    pixels = "document.querySelector('[data-photo]').naturalWidth * fitted() * view.zoom * devicePixelRatio"
    assert page.evaluate(pixels) == pytest.approx(480, abs=1)
    page.keyboard.press("p")
    page.wait_for_function("() => view.pupil && view.zoom > 1")


def test_after_the_answer_another_photo_stands_beside_this_one(site: Site) -> None:
    case, fellow = drawn_case(1, "normal"), drawn_case(2, "cataract")
    EyeImage.objects.update(patient=PatientFactory.create(key="P-0042"))
    ReviewCase.objects.filter(pk=fellow.pk).update(status="resolved", resolved_at=timezone.now())
    services.claim_case(case=case, reader=site.user("reader"))
    page = site.log_in("reader")
    page.goto(f"/review/cases/{case.pk}/")
    page.locator("#case[data-open]").wait_for()
    assert page.locator("[data-compare]").count() == 0, "not before the answer"
    page.keyboard.press("1")
    expect(page.get_by_role("heading", level=1)).to_have_text("The AI sees it differently.")
    page.get_by_text("Other photos of this patient").click()
    page.keyboard.press("c")
    beside = page.locator("[data-beside-stage] img")
    expect(beside).to_be_visible()
    expect(beside).not_to_have_js_property("naturalWidth", 0)
    page.keyboard.press("+")
    scales = "[...document.querySelectorAll('.viewer__photo')].map((each) => getComputedStyle(each).transform)"
    one, two = page.evaluate(scales)
    assert one == two and one.startswith("matrix(1.25")
    site.look(page, "review-beside")


def test_filters_are_kept_from_case_to_case_by_the_server(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(3, "cataract")
    page = site.log_in("reader")
    start(page)
    page.keyboard.press("r")
    with page.expect_response("**/review/view/"):
        page.get_by_role("button", name="Keep for next cases").click()
    page.keyboard.press("1")
    expect(page.get_by_role("status")).to_contain_text("Saved")
    expect(page.get_by_role("button", name="Red-free")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="Red-free")).to_have_attribute("aria-pressed", "true")


def test_what_is_typed_survives_a_reload(site: Site) -> None:
    drawn_case(1, "cataract")
    page = site.log_in("reader")
    start(page)
    page.keyboard.press("t")
    with page.expect_response("**/draft/"):
        page.keyboard.type("Dense.")
    page.reload()
    expect(page.locator("#id_note")).to_have_value("Dense.")
    page.keyboard.press("1")
    page.wait_for_url("**/review/")
    assert Reading.objects.get().note == "Dense." and Draft.objects.get().content == {}


def test_a_session_that_ends_in_the_middle_of_a_case_goes_on_after_a_password(site: Site) -> None:
    drawn_case(1, "cataract")
    reader = site.user("reader")
    reader.set_password(PASSWORD)
    reader.save()
    page = site.log_in("reader")
    start(page)
    page.locator("#case[data-open]").wait_for()
    page.keyboard.press("t")
    page.keyboard.type("Dense.")
    with page.expect_response("**/draft/"):
        page.keyboard.press("Escape")
    Session.objects.all().delete()
    page.keyboard.press("1")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    site.look(page, "review-session-ended")
    page.get_by_label("Password").fill("not this one")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("The password is wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/")
    reading = Reading.objects.get()
    assert (reading.blind_answer, reading.note, reading.reader) == ("cataract", "Dense.", reader)


def test_an_old_token_and_a_lost_connection_lose_no_answer(site: Site) -> None:
    for seed in (1, 3):
        drawn_case(seed, "cataract")
    page = site.log_in("reader")
    start(page)
    for text in ("ERR_INTERNET_DISCONNECTED", "403", "htmx:"):
        site.expect_complaint(text)
    page.locator("#case[data-open]").wait_for()
    page.evaluate(
        "document.querySelectorAll('[name=csrfmiddlewaretoken]').forEach((field) => { field.value = 'x'.repeat(64); })"
    )
    page.keyboard.press("1")
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.locator("#case[data-open]").wait_for()
    page.context.set_offline(True)
    page.keyboard.press("1")
    expect(page.get_by_text("Your answer (cataract) is not stored yet.")).to_be_visible()
    site.shoot(page, "review-offline")
    page.context.set_offline(False)
    page.wait_for_url("**/review/")
    assert Reading.objects.count() == 2


def test_a_second_tab_keeps_the_lease_that_the_first_gave_back(site: Site) -> None:
    case = drawn_case(1, "cataract")
    page = site.log_in("reader")
    start(page)
    second = page.context.new_page()
    second.goto(page.url)
    second.locator("#case[data-open]").wait_for()
    with second.expect_response("**/renew/"):
        page.goto("/review/")
    second.wait_for_timeout(300)
    case.refresh_from_db()
    assert case.lease_until is not None and case.lease_until > timezone.now() + timedelta(minutes=5)


def test_without_javascript_a_case_is_escalated_and_another_read(site: Site, guarded: None) -> None:
    drawn_case(1, "cataract"), drawn_case(3, "cataract")
    page = site.log_in("reader", javascript=False, width=360)
    page.goto("/review/")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("Ask, escalate or flag").click()
    page.get_by_label("Escalate to a senior").check()
    page.get_by_label("Why (required)").fill("Beyond me.")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Escalated")
    assert Concern.objects.get().kind == "senior"
    page.wait_for_timeout(1600)
    page.locator(".bar [value=cataract]").click()
    page.wait_for_url("**/review/")
    assert Reading.objects.get().pace is None


@pytest.mark.fault
@pytest.mark.parametrize("way", ["azerty", "touch", "no-javascript"])
def test_twenty_cases(site: Site, guarded: None, way: str) -> None:
    for seed in range(20):
        drawn_case(seed, "cataract" if seed % 2 else "normal")
    page = site.log_in("reader", javascript=way != "no-javascript", touch=way == "touch", width=360)
    page.set_viewport_size({"width": 360, "height": 620})
    page.goto("/review/")
    page.get_by_role("button", name="Start").click()
    for _ in range(20):
        case = ReviewCase.objects.get(pk=page.url.rstrip("/").split("/")[-1])
        assert case.prediction is not None
        answer = case.prediction.decision
        page.wait_for_timeout(1700)
        if way == "azerty":
            page.locator("#case[data-open]").wait_for()
            press(page, *(("&", "Digit1") if answer == "cataract" else ("é", "Digit2")))
        else:
            page.locator(f".bar [value={answer}]").click()
        page.wait_for_function("(id) => !location.href.includes(id)", arg=str(case.pk)) if way != "no-javascript" else (
            page.wait_for_load_state()
        )
    assert Reading.objects.count() == 20 and not Reading.objects.exclude(pace=None).exists()
