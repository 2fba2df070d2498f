"""Readers practise, see what became of their cases, and are paused; an admin chooses cases and lifts the pause."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from playwright.sync_api import expect

from review.feedback.models import QualityNote
from review.pauses.models import ReadingPause
from review.practice.models import PracticeSession
from tests.browser.conftest import Site


def test_practice_by_keyboard_to_its_result(site: Site, settings: Any) -> None:
    settings.REVIEW_QUALIFYING_CASES = 5
    page = site.log_in("reader")
    page.goto("/review/")
    expect(page.locator("main")).to_contain_text("Pass the qualifying set")
    site.look(page, "queue-unqualified")
    page.get_by_role("main").get_by_role("link", name="Practice").first.click()
    site.look(page, "practice")
    page.get_by_role("button", name="Start to practise").click()
    page.locator("img[alt='The photo to answer']").wait_for()
    site.look(page, "practice-question")
    page.keyboard.press("5")
    expect(page.get_by_text("Not right.")).to_be_visible()
    site.look(page, "practice-feedback")
    for _ in range(9):
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Cataract", exact=False).first.wait_for()
        page.keyboard.press("1")
        page.get_by_text("The final result").or_(page.get_by_text("What was drawn")).wait_for()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Practice done")
    site.look(page, "practice-result")
    session = PracticeSession.objects.get()
    assert session.right == session.items.filter(number__gt=1, expected="cataract").count()


def test_feedback_and_pauses(site: Site) -> None:
    reader = site.user("reader")
    for weeks, agreed in ((1, 15), (2, 17)):
        week = timezone.localdate() - timedelta(weeks=weeks)
        counts = {"readings": 24, "agreed": agreed, "compared": 18, "controls_right": 3, "controls": 3}
        QualityNote.objects.create(reader=reader, week=week, **counts)
    ReadingPause.objects.create(reader=reader, failed=3, of=10)
    page = site.log_in("reader")
    page.goto("/review/yours/")
    site.look(page, "own-cases")
    page.get_by_role("link", name="Week of").first.click()
    expect(page.locator("main")).to_contain_text("15 of 18 (83 %, 95 % interval 61 to 94 %)")
    site.look(page, "quality-note")
    admin = site.log_in("admin")
    admin.goto("/review/readers/")
    site.look(admin, "readers")
    admin.get_by_label("Why the pause of reader is lifted").fill("We talked about it.")
    admin.get_by_role("button", name="Lift the pause").click()
    expect(admin.locator("main")).to_contain_text("reader gets cases again.")
    admin.goto("/review/practice/cases/")
    site.look(admin, "practice-cases")
    assert ReadingPause.objects.get().lifted_at is not None
