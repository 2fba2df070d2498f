"""Taking the photo: the camera with its ring, advice measured on the device, and forms that say what is wrong once."""

import io
import random
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageFilter
from playwright.sync_api import FilePayload, Page, expect

from predictions.answering.models import Prediction
from predictions.releases.models import Release
from tests.browser.conftest import Site, drawn_eye
from tests.conftest import EYES

ADVICE = "[data-drop-advice]"
OF_THE_SAMPLE = 24


def advice_for(page: Page, photo: Image.Image) -> str:
    """What the page advises about this photo once it is chosen."""
    file = io.BytesIO()
    photo.convert("RGB").save(file, "JPEG", quality=92)
    payload = FilePayload(name="eye.jpg", mimeType="image/jpeg", buffer=file.getvalue())
    page.locator("[data-drop-preview]").evaluate("image => { image.hidden = true }")
    page.get_by_label("Choose a photo").set_input_files(payload)
    page.get_by_alt_text("Preview of the chosen photo").wait_for()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    return page.locator(ADVICE).text_content() or ""


def test_a_poor_photo_is_advised_against_and_can_be_sent(site: Site, champion: Release) -> None:
    page = site.log_in("screener", width=360)
    page.goto("/upload/")
    drawing = Image.open(io.BytesIO(drawn_eye(5)["buffer"]))
    assert advice_for(page, drawing) == ""
    assert "dark" in advice_for(page, ImageEnhance.Brightness(drawing).enhance(0.2))
    assert "bright" in advice_for(page, ImageEnhance.Brightness(drawing).enhance(8))
    assert "blurred" in advice_for(page, drawing.filter(ImageFilter.GaussianBlur(24)))
    site.look(page, "upload-advice")
    page.get_by_label("Patient key").fill("P-1")
    page.get_by_label("Right eye (OD)").check()
    page.get_by_role("button", name="Send the photo").click()
    page.wait_for_url("**/results/**")
    assert Prediction.objects.count() == 1


@pytest.mark.skipif(not EYES.exists(), reason="the real photos are not here")
def test_limits_on_real_photos(site: Site) -> None:
    """Good photos get no advice; most copies with one fault get the advice about that fault."""
    page = site.log_in("screener")
    page.goto("/upload/")
    files = sorted(path for path in EYES.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    said: dict[str, list[str]] = {"as it is": [], "blurred": [], "dark": [], "bright": []}
    for path in random.Random(3).sample(files, OF_THE_SAMPLE):
        photo = Image.open(path).convert("RGB")
        said["as it is"].append(advice_for(page, photo))
        said["blurred"].append(advice_for(page, photo.filter(ImageFilter.GaussianBlur(min(photo.size) * 0.03))))
        said["dark"].append(advice_for(page, ImageEnhance.Brightness(photo).enhance(0.25)))
        said["bright"].append(advice_for(page, ImageEnhance.Brightness(photo).enhance(2.5)))
    assert sum(bool(text) for text in said["as it is"]) <= OF_THE_SAMPLE // 12, said["as it is"]
    for fault in ("blurred", "dark", "bright"):
        assert sum(fault in text for text in said[fault]) >= OF_THE_SAMPLE // 2, (fault, said[fault])


def test_the_camera_has_a_ring_and_its_photo_is_sent_like_any_other(site: Site, champion: Release) -> None:
    page = site.log_in("screener", width=360)
    page.context.grant_permissions(["camera"])
    page.goto("/upload/")
    page.get_by_role("button", name="Use the camera").click()
    shoot = page.get_by_role("dialog").get_by_role("button", name="Take the photo")
    expect(shoot).to_be_focused()
    site.look(page, "upload-camera")
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('[data-camera-video]').srcObject") is None, "the camera is off again"
    page.get_by_role("button", name="Use the camera").click()
    shoot.click()
    page.get_by_alt_text("Preview of the chosen photo").wait_for()
    expect(page.get_by_role("button", name="Take it again")).to_be_visible()
    assert page.evaluate("document.querySelector('input[type=file]:not([capture])').files[0].name") == "camera.jpg"


def test_a_camera_that_is_refused_is_said_in_words(site: Site) -> None:
    page = site.log_in("screener")
    page.goto("/upload/")
    page.evaluate(
        """() => {
            navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
        }"""
    )
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator("[data-drop-hint]")).to_contain_text("The camera is blocked for this page")


def test_errors_go_when_their_field_is_filled(site: Site, tmp_path: Path) -> None:
    page = site.log_in("screener")
    page.goto("/upload/")
    page.get_by_role("button", name="Send the photo").click()
    expect(page.get_by_label("Patient key")).to_be_focused()
    page.keyboard.type("P-7")
    expect(page.get_by_text("Enter the patient's pseudonym.")).to_have_count(0)
    expect(page.get_by_text("Choose which eye it is.")).to_be_visible()
    page.get_by_label("Left eye (OS)").check()
    expect(page.get_by_text("Choose which eye it is.")).to_have_count(0)
    page.get_by_label("Choose a photo").set_input_files(drawn_eye(5))
    expect(page.get_by_text("Choose or take a photo.")).to_have_count(0)
    expect(page.locator("[aria-invalid]")).to_have_count(0)
