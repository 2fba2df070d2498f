"""Twenty cases read by keyboard alone, what the viewer keeps, and the screens of the second pair of eyes."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from predictions.photos import storage
from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.cases.photos import photo_of
from review.labels.models import Label
from review.reading import services
from tests.browser.conftest import Site, drawn_eye
from tests.factories import EyeImageFactory, PatientFactory
from tests.review.makers import make_case

CASES, DIFFERING = 20, 5

# Notes, in the page, how long it took from a key to the next case's photo, decoded and painted.
WATCH = """() => {
  window.spent = [];
  const shown = () => document.querySelector('[data-screen=blind]')?.dataset.renew;
  let pressed = 0, before = shown();
  addEventListener('keydown', () => { pressed = performance.now(); }, true);
  document.addEventListener('htmx:afterSwap', async () => {
    const photo = document.querySelector('[data-photo]');
    if (!photo || !shown() || shown() === before) return;  // a reveal is the same case still
    before = shown();
    const from = pressed;
    await photo.decode();
    requestAnimationFrame(() => setTimeout(() => window.spent.push(performance.now() - from)));
  });
}"""
# What the machine needs for the least of it: one request that writes a row, and one photo decoded and painted.
BASELINE = """async () => {
  const spent = [];
  for (let turn = 0; turn < 12; turn += 1) {
    const from = performance.now();
    await fetch(the('#case').dataset.renew, { method: 'POST', body: tokened() });
    const photo = new Image();
    photo.src = the('[data-photo]').src;
    await photo.decode();
    await new Promise(requestAnimationFrame);
    spent.push(performance.now() - from);
  }
  return spent.sort((one, two) => one - two)[6];
}"""
MOST = 6  # times the baseline, which is 25 ms on a machine that is not shared: 150 ms
AT_NEXT = "n => location.pathname === '/review/' || window.spent.length >= n"
AT_NEXT_OR_REVEAL = AT_NEXT + " || document.querySelector('[data-screen=reveal]')"


@pytest.fixture(autouse=True)
def no_second_reader_by_chance(settings: Any) -> None:
    settings.REVIEW_SECOND_READ_RATE = 0.0


def drawn_case(seed: int, decision: str) -> ReviewCase:
    eye = drawn_eye(seed, opacity=0.9 if seed % 2 else 0.0, size=480)
    name, digest = storage.store(eye["buffer"], suffix=".jpg")
    image: EyeImage = EyeImageFactory.create(stored_name=name, stored_sha256=digest, width=480, height=480)
    return make_case(decision, image=image)


def real_case(path: Path, decision: str) -> ReviewCase:
    """A case about a real photo, its view made by the sweep as in the product."""
    with Image.open(path) as photo:
        width, height = photo.size
    name, digest = storage.store(path.read_bytes(), suffix=path.suffix)
    image: EyeImage = EyeImageFactory.create(stored_name=name, stored_sha256=digest, width=width, height=height)
    case = make_case(decision, image=image)
    photo_of(case)
    return case


def start(page: Page) -> None:
    page.goto("/review/")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Does this eye show a cataract?")).to_be_visible()
    page.wait_for_load_state("domcontentloaded")  # the headline is there before the scripts that hear the keys


def test_one_key_when_the_ai_agrees_and_two_when_not(site: Site, eyes: Path) -> None:
    """Real photos, of which no picture is kept. Says how long it takes from a key to the next photo on the screen."""
    photos = sorted((eyes / "test" / "cataract").iterdir())[:CASES]
    for number, path in enumerate(photos):
        real_case(path, "normal" if number < DIFFERING else "cataract")
    page = site.log_in("reader")
    start(page)
    page.evaluate(WATCH)
    baseline = page.evaluate(BASELINE)
    from_memory: list[str] = []
    page.on("response", lambda answer: from_memory.extend(filter(None, [answer.headers.get("review-case")])))
    keys, spent, ready = 0, [0.0], 0
    for number in range(1, CASES + 1):
        ready += page.evaluate("document.querySelector('[data-photo]').src.startsWith('blob:')")
        page.locator("#case[data-ahead-ready]").wait_for()
        page.keyboard.press("1")
        keys += 1
        page.wait_for_function(AT_NEXT_OR_REVEAL, arg=number)
        if page.locator("[data-screen=reveal]").count():
            page.keyboard.press("Enter")
            keys += 1
            page.wait_for_function(AT_NEXT, arg=number)
        if number == CASES - 1:
            spent = sorted(page.evaluate("window.spent"))
    page.wait_for_url("**/review/")
    median, p95 = spent[len(spent) // 2], spent[int(len(spent) * 0.95)]
    print(f"\nkey to next painted case: median {median:.0f} ms, p95 {p95:.0f} ms; baseline {baseline:.0f} ms")
    assert p95 <= MOST * baseline
    assert keys == CASES + DIFFERING
    assert ready == CASES - 1, "every photo after the first was in memory before its case came"
    assert len(from_memory) == CASES - 1, "and so was its screen"
    assert Reading.objects.filter(final_answer="cataract", blind_seconds__isnull=False).count() == CASES
    assert Label.objects.count() == CASES - DIFFERING, "the others wait for a second reader"


def test_a_list_of_next_cases_that_arrives_while_an_answer_is_sent_loses_no_screen(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "cataract")
    page = site.log_in("reader")
    start(page)
    page.locator("#case[data-ahead-ready]").wait_for()
    first = page.url
    page.evaluate("document.addEventListener('htmx:beforeSend', () => { following = []; }, { once: true })")
    page.keyboard.press("1")
    expect(page.get_by_role("status")).to_contain_text("Saved")
    expect(page.get_by_role("heading", level=1)).to_have_text("Does this eye show a cataract?")
    assert page.url != first


def test_the_view_is_kept_with_the_answer_and_starts_afresh_for_the_next_case(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "cataract")
    page = site.log_in("reader")
    start(page)
    for key in ("+", "+", "r", "i", "."):
        page.keyboard.press(key)
    red_free = page.get_by_role("button", name="Red-free")
    expect(red_free).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("1")
    expect(red_free).to_have_attribute("aria-pressed", "false")
    viewer = Reading.objects.get().viewer
    assert viewer["redfree"] is True and viewer["invert"] is True
    assert viewer["zoom"] == pytest.approx(1.5625) and viewer["brightness"] == pytest.approx(1.1)
    page.keyboard.press("z")
    expect(page.get_by_text("does not train")).to_be_visible()
    assert Reading.objects.get().retracted_at is not None


def test_screens_of_a_finished_a_closed_and_an_adjudicated_case(site: Site) -> None:
    case = drawn_case(1, "cataract")
    first, second = site.user("reader", "first-reader"), site.user("reader", "second-reader")
    services.claim_case(case=case, reader=first)
    reading = services.store_blind_answer(case=case, reader=first, answer="normal")
    services.store_final_answer(reading=reading, answer="normal")
    services.claim_case(case=case, reader=second)
    services.store_blind_answer(case=case, reader=second, answer="cataract", note="White pupil.")
    page = site.log_in("reader", "first-reader")
    page.goto(f"/review/cases/{case.pk}/")
    site.look(page, "review-finished")
    page = site.log_in("reader", "third-reader")
    page.goto(f"/review/cases/{case.pk}/")
    site.look(page, "review-closed")
    services.claim_case(case=case, reader=site.user("adjudicator"))
    page = site.log_in("adjudicator")
    page.goto(f"/review/cases/{case.pk}/")
    expect(page.get_by_role("heading", name="Two readers differ.")).to_be_visible()
    site.look(page, "review-adjudicate")


def test_the_worklist_of_a_reader_and_of_an_admin(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "normal")
    for role in ("reader", "admin"):
        page = site.log_in(role)
        page.goto("/review/worklist/")
        expect(page.locator("tbody tr")).to_have_count(2)
        site.look(page, f"worklist-{role}")


def test_the_keys_are_shown_changed_and_switched_off(site: Site) -> None:
    drawn_case(1, "cataract"), drawn_case(2, "cataract")
    page = site.log_in("reader")
    start(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    site.look(page, "review-keys-overlay")
    page.get_by_role("link", name="Change keys").click()
    site.look(page, "review-keys")
    site.expect_complaint("422")
    page.get_by_label("No cataract").fill("1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Cataract has this key too")).to_be_visible()
    page.get_by_label("No cataract").fill("y")
    page.locator("#id_cataract").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.goto("/review/")
    page.keyboard.press("s")
    page.get_by_role("button", name="No cataract Y").wait_for()
    page.keyboard.press("1")
    page.keyboard.press("2")
    assert not Reading.objects.exists(), "these keys do nothing now"
    page.keyboard.press("y")
    expect(page.locator("[data-screen=reveal]")).to_be_visible()
    assert Reading.objects.get().blind_answer == "normal"


def test_the_fellow_eye_is_one_key_away(site: Site) -> None:
    case = drawn_case(1, "cataract")
    fellow = drawn_case(2, "cataract")
    EyeImage.objects.update(patient=PatientFactory.create(key="P-0042"))
    services.claim_case(case=case, reader=site.user("reader"))
    page = site.log_in("reader")
    page.goto(f"/review/cases/{case.pk}/")
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    photo = page.locator(f"img[src*='{fellow.image_id}']")
    expect(photo).to_have_count(0)
    page.keyboard.press("e")
    expect(photo).to_be_visible()
    expect(photo).not_to_have_js_property("naturalWidth", 0)
    assert sum(str(fellow.image_id) in address for address in seen) == 1
    site.look(page, "review-visits")
