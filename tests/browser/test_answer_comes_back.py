"""The loop is closed for the person who sent the photo: upload, two readers against the AI, news, and an amendment."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from predictions.answering.models import Prediction
from review.cases.models import ReviewCase
from review.queue import opening
from tests.browser.conftest import Site, drawn_eye

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_readers_overrule_the_ai_and_the_sender_is_told(
    site: Site, champion: Any, settings: Any, keep: Callable[..., None]
) -> None:
    settings.AUDIT_RATE = 1.0  # each sure answer is checked: the photo goes to readers
    settings.REVIEW_SECOND_READ_RATE = settings.REVIEW_AI_FIRST_RATE = 0.0
    settings.REVIEW_CONTROL_RATE = settings.REVIEW_REPEAT_RATE = 0.0
    sender = site.log_in("screener")
    upload(sender)
    expect(sender.get_by_role("heading", level=1)).to_have_text(
        "No sign of cataract in this photo. Checked for cataract only."
    )
    expect(sender.locator("main")).to_contain_text("Provisional")

    opening.open_cases()
    for name in ("reader", "reader2"):
        read(site.log_in("reader", name), answer="1")
    case = ReviewCase.objects.get()
    assert (case.status, Prediction.objects.get().decision) == ("resolved", "normal")

    sender.goto("/upload/")
    sender.get_by_role("link", name="1 new answer").click()
    sender.get_by_role("link", name="Open the result of P-7").click()
    expect(sender.get_by_role("heading", level=1)).to_have_text("Clinicians say: cataract.")
    main = sender.locator("main")
    expect(main).to_contain_text("The clinicians disagree with the AI.")
    expect(main).to_contain_text("Read by two clinicians who agree.")
    site.look(sender, "answer-came-back")
    keep(sender, "final-result", phone=True)

    judge = site.log_in("adjudicator")
    judge.goto("/review/worklist/?state=resolved")
    judge.get_by_role("link", name=str(case.pk)[:8]).click()
    judge.get_by_role("link", name="Amend or reopen").click()
    form = judge.get_by_role("form", name="Amend the answer")
    form.get_by_label("Right answer").select_option("Other pathology")
    form.get_by_label("Why").fill("A scar of the cornea.")
    form.get_by_role("button", name="Amend").click()
    expect(judge.get_by_role("status").first).to_contain_text("Amended")

    sender.goto("/upload/")
    sender.get_by_role("link", name="1 new answer").click()
    sender.get_by_role("link", name="Open the result of P-7").click()
    expect(sender.get_by_role("heading", level=1)).to_contain_text("another eye problem")
    expect(main).to_contain_text("A scar of the cornea.")
    expect(main).to_contain_text("Before: Cataract (two clinicians).")


def upload(page: Page) -> None:
    page.goto("/upload/")
    page.get_by_label("Patient key").fill("P-7")
    page.get_by_label("Right eye (OD)").check()
    page.get_by_label("Choose a photo").set_input_files(drawn_eye(3))
    page.get_by_role("button", name="Send the photo").click()
    page.wait_for_url("**/results/**")


def read(page: Page, *, answer: str) -> None:
    """A blind answer with one key, kept against the AI."""
    page.goto("/review/")
    page.keyboard.press("s")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Does this eye show a cataract?")
    page.keyboard.press(answer)
    keep = page.get_by_role("button", name="Keep mine")
    expect(keep).to_be_visible()
    keep.press("Enter")
    expect(keep).to_be_hidden()
