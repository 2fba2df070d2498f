"""A photo is sent and answered in the browser: with a mouse, a thumb, a keyboard, and without JavaScript."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from predictions.answering.models import Prediction
from predictions.releases.models import Release
from tests.browser.conftest import Site, drawn_eye


def fill(page: Page, patient: str = "P-0042", eye: str = "Right eye (OD)") -> None:
    page.get_by_label("Patient key").fill(patient)
    page.get_by_label(eye).check()


def send(page: Page, seed: int, *, opacity: float, light: float = 1.0) -> None:
    """Through the whole form, from the form to the result."""
    page.goto("/upload/")
    fill(page, patient=f"P-{seed:04}")
    page.get_by_label("Choose a photo").set_input_files(drawn_eye(seed, opacity=opacity, light=light))
    page.get_by_role("button", name="Send the photo").click()
    page.wait_for_url("**/results/**")


def test_upload_page(site: Site) -> None:
    page = site.log_in("screener")
    page.goto("/upload/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Upload a photo of an eye")
    site.look(page, "upload")
    page.get_by_label("Choose a photo").set_input_files(drawn_eye(5))
    page.get_by_alt_text("Preview of the chosen photo").wait_for()
    site.look(page, "upload-chosen")


def test_refusals_are_said_in_the_form(site: Site, champion: Release) -> None:
    page = site.log_in("screener")
    page.goto("/upload/")
    page.get_by_role("button", name="Send the photo").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose or take a photo")
    site.look(page, "upload-refused")
    fill(page)
    page.get_by_label("Choose a photo").set_input_files(
        {"name": "letter.jpg", "mimeType": "image/jpeg", "buffer": b"Dear colleague"}
    )
    page.get_by_role("button", name="Send the photo").click()
    expect(page.get_by_role("alert")).not_to_contain_text("Choose or take a photo")
    expect(page.get_by_label("Patient key")).to_have_value("P-0042")
    assert not Prediction.objects.exists()


@pytest.mark.parametrize(("opacity", "decision"), [(1.0, "cataract"), (0.0, "normal")])
def test_answer_without_a_reload(site: Site, champion: Release, opacity: float, decision: str) -> None:
    page = site.log_in("screener")
    page.goto("/upload/")
    page.evaluate("window.sameDocument = true")
    fill(page)
    page.get_by_label("Choose a photo").set_input_files(drawn_eye(3, opacity=opacity))
    page.get_by_role("button", name="Send the photo").click()
    page.wait_for_url("**/results/**")
    expect(page.locator(f".decision--{decision} h1")).to_be_focused()
    assert page.evaluate("window.sameDocument")
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    expect(page.locator("main")).to_contain_text(champion.pk)
    expect(page.locator("body")).to_contain_text("Not a diagnosis")
    site.look(page, f"result-{decision}")
    page.reload()
    expect(page.locator(f".decision--{decision} h1")).to_be_visible()


def test_cannot_judge(site: Site, champion: Release) -> None:
    page = site.log_in("screener")
    send(page, 4, opacity=0.0, light=0.12)
    expect(page.locator(".decision--ungradable h1")).to_be_visible()
    site.look(page, "result-ungradable")


def test_no_champion_means_a_person_looks(site: Site) -> None:
    page = site.log_in("screener")
    send(page, 4, opacity=0.5)
    expect(page.get_by_role("heading", level=1)).to_contain_text("A clinician will review")
    site.look(page, "result-no-champion")


def test_list_of_uploads(site: Site, champion: Release) -> None:
    page = site.log_in("screener")
    page.goto("/uploads/")
    site.look(page, "uploads-empty")
    for seed, opacity in ((11, 0.0), (12, 1.0), (13, 0.4)):
        send(page, seed, opacity=opacity)
    page.get_by_role("link", name="Photos").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.wait_for_load_state("networkidle")
    site.look(page, "uploads")


def test_without_javascript(site: Site, champion: Release) -> None:
    page = site.log_in("screener", javascript=False, width=360)
    page.goto("/upload/")
    fill(page)
    page.get_by_label("Choose a photo").set_input_files(drawn_eye(3, opacity=1.0))
    page.get_by_role("button", name="Send the photo").click()
    expect(page.locator(".decision--cataract h1")).to_be_visible()
    page.screenshot(path=site.shots / "upload-no-javascript.png", full_page=True)


def test_on_a_phone_the_camera_is_offered(site: Site, champion: Release) -> None:
    page = site.log_in("screener", width=360, touch=True)
    page.goto("/upload/")
    fill(page)
    camera = page.get_by_label("Take a photo")
    assert camera.get_attribute("capture") == "environment"
    camera.set_input_files(drawn_eye(3, opacity=1.0))
    page.get_by_role("button", name="Send the photo").tap()
    expect(page.locator(".decision--cataract h1")).to_be_visible()


def test_with_the_keyboard_alone(site: Site, champion: Release, tmp_path: Path) -> None:
    photo = tmp_path / "eye.jpg"
    photo.write_bytes(drawn_eye(3, opacity=1.0)["buffer"])
    page = site.log_in("screener")
    page.on("filechooser", lambda chooser: chooser.set_files(photo))
    page.goto("/upload/")
    tab_to(page, "patient_key")
    page.keyboard.type("P-7")
    tab_to(page, "eye")
    page.keyboard.press("Space")
    tab_to(page, "photo")
    page.keyboard.press("Enter")
    expect(page.get_by_text("eye.jpg")).to_be_visible()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.type") != "submit":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".decision--cataract h1")).to_be_focused()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the field of that name has the focus, at most thirty times."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == name:
            return
    raise AssertionError(f"The keyboard does not reach {name}.")


def test_drag_and_drop(site: Site, champion: Release) -> None:
    page = site.log_in("screener")
    page.goto("/upload/")
    fill(page)
    payload = drawn_eye(3, opacity=1.0)
    transfer: Any = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], 'dropped.jpg', {type: 'image/jpeg'}));
            return transfer;
        }""",
        list(payload["buffer"]),
    )
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("dropped.jpg")).to_be_visible()
    page.get_by_role("button", name="Send the photo").click()
    expect(page.locator(".decision--cataract h1")).to_be_visible()
