"""Second factors: set up, asked for at sign-in, required by role, and confirmed again before what changes much."""

import base64
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from cataract.core import tokens
from cataract.core.models import ApiToken
from predictions.releases.models import Release
from tests.accounts.test_passwords import PASSWORD, key_of, signed_in
from tests.accounts.test_sessions import later as later  # a fixture
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
APP, CODE = "/accounts/second-factor/app/add/", "/accounts/second-factor/code/"


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    cache.clear()
    settings.STEP_UP_MINUTES = 5


def code_for(secret: str, *, periods: int = 0) -> str:
    """What the app shows now, or so many half-minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + periods))


def confirm(client: Client, to: str = "/") -> None:
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": to})
    assert answer.status_code == 302, answer.content.decode()


def set_up(client: Client) -> str:
    """Set up an app; returns its secret."""
    confirm(client)
    secret: str = client.get(APP).context["form"].secret
    answer = client.post(APP, {"code": code_for(secret)})
    assert answer.status_code == 302, answer.context["form"].errors
    return secret


@pytest.fixture
def admin() -> Client:
    UserFactory.create(username="boss", roles=["admin"])
    return signed_in("boss")


def first_step(name: str = "boss") -> Client:
    client = Client()
    answer = client.post("/accounts/login/", {"login": name, "password": PASSWORD})
    assert answer.headers["Location"].startswith(CODE)
    return client


def is_in(client: Client) -> bool:
    return client.get("/uploads/").status_code == 200


def test_a_code_of_the_app_is_asked_for_and_counts_once(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = set_up(admin)
    client = first_step()
    assert not is_in(client)
    assert client.post(CODE, {"code": "000000"}).status_code == 200
    assert client.post(CODE, {"code": code_for(secret)}).status_code == 302
    assert is_in(client)
    other = first_step()  # somebody who saw the code over a shoulder, in another process
    cache.clear()
    assert other.post(CODE, {"code": code_for(secret)}).status_code == 200
    assert not is_in(other)


def test_the_secret_is_encrypted_at_rest(admin: Client) -> None:
    secret = set_up(admin)
    for row in Authenticator.objects.all():
        assert secret not in str(row.data)
        assert base64.b32decode(secret).hex() not in str(row.data)


def test_a_new_secret_key_still_reads_them(admin: Client, settings: Any) -> None:
    secret = set_up(admin)
    client = first_step()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" + "x" * 50
    assert client.post(CODE, {"code": code_for(secret)}).status_code in (200, 302)
    settings.SECRET_KEY_FALLBACKS = []


def test_recovery_codes_are_shown_once_and_work_once(admin: Client) -> None:
    set_up(admin)
    page = admin.get("/accounts/second-factor/recovery-codes/")
    codes = page.context["unused_codes"]
    assert len(codes) == 10
    assert codes[0] in page.content.decode()
    assert codes[0] not in admin.get("/accounts/second-factor/recovery-codes/").content.decode()
    client = first_step()
    assert client.post(CODE, {"code": codes[0]}).status_code == 302
    assert is_in(client)
    assert first_step().post(CODE, {"code": codes[0]}).status_code == 200


def test_codes_cannot_be_guessed(admin: Client) -> None:
    """All processes count together, and a right code after too many wrong ones is refused."""
    secret = set_up(admin)
    cache.clear()
    for _ in range(10):
        assert "Incorrect code" in first_step().post(CODE, {"code": "000000"}).content.decode()
    page = first_step().post(CODE, {"code": code_for(secret)}).content.decode()
    assert "Too many codes. Try again in" in page


def test_a_role_that_needs_a_second_factor_gets_nothing_before(admin: Client, settings: Any) -> None:
    settings.SECOND_FACTOR_ROLES = ["admin"]
    assert admin.get("/uploads/").headers["Location"] == "/accounts/second-factor/"
    assert admin.get("/admin/").headers["Location"] == "/accounts/second-factor/"
    answer = admin.get("/api/v1/predictions")
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
    assert key_of(User.objects.get(username="boss")).get("/api/v1/predictions").status_code == 200
    set_up(admin)
    assert admin.get("/uploads/").status_code == 200
    UserFactory.create(username="reader", roles=["reader"])
    assert signed_in("reader").get("/review/").status_code == 200  # needs none


def test_superusers_need_what_any_role_needs(settings: Any) -> None:
    settings.SECOND_FACTOR_ROLES = ["admin"]
    UserFactory.create(username="root", is_superuser=True, is_staff=True)
    assert signed_in("root").get("/admin/").headers["Location"] == "/accounts/second-factor/"


def test_whoever_needs_a_second_factor_keeps_the_last(admin: Client, settings: Any) -> None:
    set_up(admin)
    settings.SECOND_FACTOR_ROLES = ["admin"]
    admin.post("/accounts/second-factor/app/remove/")
    assert Authenticator.objects.filter(type="totp").exists()
    settings.SECOND_FACTOR_ROLES = []
    admin.post("/accounts/second-factor/app/remove/")
    assert not Authenticator.objects.exists()


def test_an_admin_removes_a_lost_second_factor(admin: Client) -> None:
    user = UserFactory.create(username="other", roles=["admin"])
    other = signed_in("other")
    set_up(other)
    admin.post("/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": [user.pk]})
    assert not Authenticator.objects.exists()
    assert not is_in(other)


def test_the_admin_site_is_no_way_round(admin: Client) -> None:
    """Django's own login page of the admin asks for no second factor, so there is none."""
    set_up(admin)
    client = Client()
    answer = client.post("/admin/login/", {"username": "boss", "password": PASSWORD, "next": "/admin/"})
    assert answer.headers["Location"].startswith("/accounts/login/")
    assert client.get("/admin/").status_code == 302


@pytest.fixture
def much_later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let ten minutes pass for the step-up."""
    real = time.time
    return lambda: monkeypatch.setattr("cataract.core.http.step_up.time.time", lambda: real() + 600)


STEP_UPS = (
    ("POST", "/admin/training/releasereview/nothing/promote/"),
    ("GET", "/admin/training/releasereview/rollback/"),
    ("GET", "/admin/predictions/apitoken/add/"),
    ("GET", "/admin/auth/user/add/"),
    ("GET", "/review/labels/export/"),
    ("GET", "/deletions/new/?patient=00000000-0000-0000-0000-000000000000"),
)


@pytest.mark.parametrize(("method", "address"), STEP_UPS)
def test_what_changes_much_asks_again(admin: Client, much_later: Callable[[], None], method: str, address: str) -> None:
    assert "reauthenticate" not in admin.generic(method, address).headers.get("Location", "")  # just signed in
    much_later()
    answer = admin.generic(method, address)
    assert urlsplit(answer.headers["Location"]).path == "/accounts/reauthenticate/"
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["next"] == [address]


def test_the_form_goes_on_after_the_confirmation(
    admin: Client, champion: Release, much_later: Callable[[], None]
) -> None:
    address = f"/admin/training/releasereview/{champion.pk}/promote/"
    much_later()
    answer = admin.post(address, {"reason": "typed with care"})
    page = admin.get(answer.headers["Location"])
    assert page.status_code == 200
    wrong = admin.post("/accounts/reauthenticate/", {"password": "wrong", "next": address})
    assert wrong.status_code == 200
    went_on = admin.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": address})
    assert went_on.status_code == 422  # the promotion itself was tried, and refuses the champion
    assert went_on.context["form"].data["reason"] == "typed with care"


def test_a_password_of_a_form_is_not_stored_meanwhile(admin: Client, much_later: Callable[[], None]) -> None:
    much_later()
    form = {"username": "new", "password1": "a secret of this form", "password2": "a secret of this form"}
    answer = admin.post("/admin/auth/user/add/", form)
    assert "/accounts/reauthenticate/" in answer.headers["Location"]
    assert "secret of this form" not in str(dict(admin.session))


def test_the_api_asks_sessions_and_not_keys(admin: Client, champion: Release, much_later: Callable[[], None]) -> None:
    much_later()
    address = f"/api/v1/releases/{champion.pk}/promote"
    answer = admin.post(address, {"reason": "x"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "confirm_identity")
    _, key = tokens.create_token(
        user=User.objects.get(username="boss"), name="x", scopes=[ApiToken.Scope.ADMIN], days=1
    )
    by_key = Client(headers={"Authorization": f"Bearer {key}"})
    assert by_key.post(address, {"reason": "x"}, content_type="application/json").status_code != 403


def test_the_second_factor_confirms_too(admin: Client) -> None:
    secret = set_up(admin)
    answer = admin.post("/accounts/second-factor/confirm/", {"code": code_for(secret), "next": "/uploads/"})
    assert answer.headers["Location"] == "/uploads/"
