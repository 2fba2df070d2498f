"""The pages of one's account in a real browser: passkeys with a virtual device, and how each page looks."""

import pytest
from playwright.sync_api import Page, expect

from cataract.core import tokens
from tests.browser.conftest import Site
from tests.factories import PASSWORD


@pytest.fixture(autouse=True)
def step_up(settings: pytest.FixtureRequest) -> None:
    settings.STEP_UP_MINUTES = 5  # type: ignore[attr-defined]


def with_passkeys(page: Page) -> Page:
    """Give the browser a device that answers every request for a passkey."""
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return page


def test_a_passkey_is_set_up_and_signs_in(site: Site) -> None:
    page = with_passkeys(site.log_in("reader"))
    page.goto("/accounts/second-factor/")
    site.look(page, "second-factor")
    page.get_by_role("link", name="Add a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    site.look(page, "confirm")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Add a passkey")
    site.look(page, "passkey")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    site.look(page, "recovery-codes")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("No cases for you right now")


def test_a_passkey_is_the_second_step_after_a_password(site: Site) -> None:
    page = with_passkeys(site.log_in("reader"))
    page.goto("/accounts/reauthenticate/?next=/accounts/second-factor/passkeys/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("User name").fill("reader")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    site.look(page, "second-step")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("No cases for you right now")


def test_pages_of_the_account(site: Site) -> None:
    tokens.create_token(user=site.user("reader"), name="my program", scopes=["review"], days=5)
    page = site.log_in("reader")
    for name in ("", "password/", "sessions/", "keys/"):
        page.goto(f"/accounts/{name}")
        site.look(page, f"account-{name.strip('/') or 'home'}")
    page.goto("/accounts/reauthenticate/?next=/accounts/second-factor/app/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up an app")
    site.look(page, "account-app")


def test_a_warning_comes_before_an_idle_session_ends(site: Site) -> None:
    page = site.log_in("reader")
    page.clock.install()
    page.goto("/accounts/")
    page.clock.fast_forward(27 * 60_000)
    stay = page.get_by_role("button", name="Stay signed in")
    expect(stay).to_have_count(0)
    page.clock.fast_forward(61_000)
    expect(stay).to_be_focused()
    site.look(page, "account-warning")
    with page.expect_response("**/accounts/stay/") as answer:
        page.keyboard.press("Enter")
    assert answer.value.status == 204
    expect(stay).to_have_count(0)
