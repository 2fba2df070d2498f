"""One real photo travels the whole loop in real Chromium: every step is done in a page, by the person whose step it is.

Web server, broker and worker are processes of their own, on PostgreSQL with Redis; with EVERY_STORE=1 (`make faults`)
on SQLite with the embedded broker too, as `tests/flows/test_loop.py` goes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site
from tests.flows.test_loop import (
    EMBEDDED,
    EVERY_STORE,
    SERVICES,
    Loop,
    await_alias,
    import_labels,
    loop,
    unknown_photos,
)

__all__ = ["loop"]  # the same systems as over HTTP

TRAINING_MS = 600_000


@pytest.fixture(params=[EMBEDDED, SERVICES] if EVERY_STORE else [SERVICES])
def store(request: pytest.FixtureRequest) -> str:
    """What holds the rows and the messages."""
    return str(request.param)


@pytest.fixture
def site(browser: Browser, loop: Loop, shots: Path) -> Iterator[Site]:
    site = Site(browser=browser, url=loop.base, shots=shots)
    yield site
    for context in site.contexts:
        context.close()
    assert not site.complaints, "The browser complained:\n" + "\n".join(site.complaints)


def log_in(site: Site, loop: Loop, name: str, *, to: str, **options: int) -> Page:
    """With the login form, on the way to the page `to`."""
    page = site.open(**options)  # type: ignore[arg-type]
    page.goto(f"/accounts/login/?next={to}")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(loop.password(name))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{to}")
    return page


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_real_photo_travels_the_whole_loop(loop: Loop, site: Site, eyes: Path, tmp_path: Path) -> None:
    first = min((eyes / "test" / "cataract").iterdir())
    starter = loop.one("SELECT id FROM predictions_release WHERE status = 'champion'")
    upload(site, loop, first, patient="P-1", release=starter)
    read_blind(site, loop)
    import_labels(loop, eyes, tmp_path / "labelled")
    second, *_ = unknown_photos(loop, eyes)
    challenger = train(site, loop)
    assert challenger != starter
    await_alias(loop, "challenger", challenger)
    promote(site, loop, challenger)
    upload(site, loop, second, patient="P-2", release=challenger)


def upload(site: Site, loop: Loop, photo: Path, *, patient: str, release: str) -> None:
    """A screener with a phone sends a photo; the answer comes without a reload and names the release."""
    page = log_in(site, loop, "screener", to="/upload/", width=360)
    page.get_by_label("Patient key").fill(patient)
    page.get_by_label("Right eye (OD)").check()
    page.get_by_label("Choose a photo").set_input_files(photo)
    page.get_by_role("button", name="Send the photo").click()
    page.wait_for_url("**/results/**")
    expect(page.locator("main")).to_contain_text(release)
    expect(page.locator("body")).to_contain_text("Screening aid. Not a diagnosis.")
    site.shoot(page, f"loop-result-{patient}")


def read_blind(site: Site, loop: Loop) -> None:
    """Readers say cataract with one key, see the AI if it differs, and keep their answer, until there is a label."""
    loop.system.await_true(lambda: loop.ask("SELECT id FROM review_reviewcase"), 60, "a review case")
    heading = "Does this eye show a cataract?"
    for name in ("reader", "reader2"):
        page = log_in(site, loop, name, to="/review/")
        page.keyboard.press("s")
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        page.keyboard.press("1")
        expect(page.get_by_role("heading", level=1)).not_to_have_text(heading)
        keep = page.get_by_role("button", name="Keep mine")
        if keep.is_visible():
            keep.press("Enter")
            expect(keep).to_be_hidden()
        if loop.one("SELECT status FROM review_reviewcase") == "resolved":
            break
    assert loop.ask("SELECT answer, provenance FROM review_label") == [("cataract", "blind")]


def train(site: Site, loop: Loop) -> str:
    """An admin starts a run and watches it to its end. Returns the challenger.

    The fast model alone, for time: over HTTP both are trained.
    """
    page = log_in(site, loop, "admin", to="/admin/training/trainingrun/add/")
    page.get_by_label("What to train").select_option("fast")
    page.get_by_label("Why").fill("The first confirmed labels.")
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url("**/change/")
    link = page.get_by_role("link", name="Compare and promote")
    expect(link.or_(page.get_by_role("alert")).first).to_be_visible(timeout=TRAINING_MS)
    assert link.is_visible(), loop.ask("SELECT status, error, log FROM training_trainingrun")
    expect(page.get_by_role("link", name="Open the run in MLflow")).to_be_visible()
    site.shoot(page, "loop-run")
    return str(loop.one("SELECT release_id FROM training_trainingrun"))


def promote(site: Site, loop: Loop, challenger: str) -> None:
    """An admin looks at every photo that turns wrong, names the cause, and promotes."""
    page = log_in(site, loop, "admin", to=f"/admin/training/releasereview/{challenger}/change/")
    opened = page.get_by_role("link", name="Open the first")
    if opened.count():
        opened.click()
    while page.get_by_role("button", name="Save the cause").count():
        page.get_by_label("an error of the challenger, accepted").check()
        page.get_by_role("button", name="Save the cause").click()
        page.wait_for_load_state()
    page.get_by_label("I know that there are too few photos").check()
    page.get_by_label("Reason").fill("More photos, compared by hand.")
    site.shoot(page, "loop-compare")
    page.get_by_role("button", name=f"Promote {challenger}").click()
    expect(page.get_by_text(f"Release {challenger} serves now.")).to_be_visible()
