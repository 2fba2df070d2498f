"""Every page is looked at: both widths, both themes, axe, no complaint of the browser."""

import pytest

from tests.browser.conftest import PASSWORD, Site


def test_login_page(site: Site) -> None:
    page = site.open()
    page.goto("/accounts/login/")
    site.look(page, "login")
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    site.look(page, "login-refused")


def test_log_in_and_out_with_the_form(site: Site) -> None:
    site.user("admin")
    page = site.open()
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").click()
    page.goto("/admin/")
    assert "login" in page.url
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


def test_error_pages(site: Site) -> None:
    site.expect_complaint("404")
    page = site.open()
    page.goto("/there-is-no-such-page/")
    site.look(page, "404")


@pytest.mark.parametrize("address", ["/admin/", "/admin/training/trainingrun/", "/admin/predictions/release/"])
def test_admin_pages(site: Site, address: str) -> None:
    page = site.log_in("admin")
    answer = page.goto(address)
    assert answer is not None
    assert answer.ok, f"{address} answered {answer.status}"
    site.look(page, "admin" + address.rstrip("/").replace("/", "-"))
