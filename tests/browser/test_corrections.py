"""A wrong patient is corrected in the browser, from the refusal and from the list of near-copies."""

import pytest
from playwright.sync_api import expect

from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from tests.browser.conftest import Site, drawn_eye
from tests.browser.test_upload import fill


def test_from_a_refusal_to_the_corrected_photo(site: Site, champion: Release) -> None:
    site.expect_complaint("409")
    site.expect_complaint("422")
    page = site.log_in("screener")
    for eye in ("Left eye (OS)", "Right eye (OD)"):
        page.goto("/upload/")
        fill(page, eye=eye)
        page.get_by_label("Choose a photo").set_input_files(drawn_eye(5))
        page.get_by_role("button", name="Send the photo").click()
        page.get_by_role("link", name="Correct").wait_for()
    site.look(page, "refused-other-eye")
    page.get_by_role("link", name="Correct it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Correct eye or patient")
    site.look(page, "correct")
    page.get_by_text("This photo should not be here").click()
    page.get_by_role("button", name="Withdraw the photo").click()
    expect(page.get_by_text("Choose what is wrong.")).to_be_visible()
    site.look(page, "correct-refused")
    page.get_by_label("Right eye (OD)").check()
    page.get_by_label("Reason").first.fill("The wrong button was pressed.")
    page.get_by_role("button", name="Save the correction").click()
    expect(page.get_by_text("The wrong button was pressed.")).to_be_visible()
    assert EyeImage.objects.get().eye == "OD"
    site.look(page, "corrected")


@pytest.mark.parametrize("javascript", [True, False])
def test_near_copies_of_two_patients(site: Site, champion: Release, javascript: bool) -> None:
    page = site.log_in("screener", javascript=javascript)
    for patient, size in (("P-0001", 640), ("P-0002", 600)):
        page.goto("/upload/")
        fill(page, patient=patient)
        page.get_by_label("Choose a photo").set_input_files(drawn_eye(5, size=size))
        page.get_by_role("button", name="Send the photo").click()
        page.wait_for_url("**/results/**")
    if javascript:
        site.look(page, "result-wrong-patient")
    page.get_by_role("link", name="Check whose photo it is").click()
    expect(page.get_by_role("link", name="Wrong patient? 1")).to_be_visible()
    if javascript:
        site.look(page, "wrong-patient")
    page.get_by_label("Both of P-0001").check()
    page.get_by_label("Reason").fill("Two visits of one patient.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing to check")).to_be_visible()
    assert set(EyeImage.objects.values_list("patient__key", flat=True)) == {"P-0001"}
