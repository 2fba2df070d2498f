"""Passwords: everybody changes their own, and nobody keeps one that somebody else has made."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from cataract.accounts import services
from cataract.core import tokens
from cataract.core.models import ApiToken
from cataract.roles import ROLES
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
NEW = "quite another long secret"


def signed_in(name: str, password: str = PASSWORD) -> Client:
    """A browser in which this user has signed in with the form."""
    client = Client()
    answer = client.post("/accounts/login/", {"login": name, "password": password})
    assert answer.status_code == 302, answer.content.decode()
    return client


def change(client: Client, old: str = PASSWORD, new: str = NEW, **more: str) -> int:
    form = {"oldpassword": old, "password1": new, "password2": new, **more}
    return client.post("/accounts/password/", form).status_code


def key_of(user: User) -> Client:
    _, key = tokens.create_token(user=user, name="pacs", scopes=[ApiToken.Scope.READ], days=9)
    return Client(headers={"Authorization": f"Bearer {key}"})


def works(client: Client) -> bool:
    return client.get("/api/v1/predictions").status_code == 200


@pytest.mark.parametrize("role", [*ROLES, ""])
def test_everybody_changes_their_own_password(role: str) -> None:
    user = UserFactory.create(roles=[role] if role else [])
    here, there = signed_in(user.username), signed_in(user.username)
    assert here.get("/accounts/password/").status_code == 200
    assert change(here) == 302
    assert works(here)
    assert not works(there)  # signed out everywhere else
    assert User.objects.get(pk=user.pk).check_password(NEW)


def test_a_wrong_or_weak_password_changes_nothing() -> None:
    user = UserFactory.create(roles=["reader"])
    client = signed_in(user.username)
    assert change(client, old="wrong") == 200
    assert change(client, new="short") == 200
    assert change(client, new="password1234") == 200
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)


def test_a_password_made_by_somebody_else_is_changed_first() -> None:
    user = UserFactory.create(roles=["screener"])
    services.reset_password(user=user, password="made by the admin 1", by=UserFactory.create(roles=["admin"]))
    client = signed_in(user.username, "made by the admin 1")
    answer = client.get("/upload/")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/accounts/password/"
    refused = client.get("/api/v1/predictions")
    assert refused.status_code == 403
    assert refused.json()["code"] == "password_change_required"
    assert change(client, old="made by the admin 1") == 302
    assert client.get("/upload/").status_code == 200
    assert signed_in(user.username, NEW).get("/upload/").status_code == 200


def test_the_api_is_not_reached_around_a_first_password() -> None:
    """Another scheme in the Authorization header falls back to the session, and is no way round."""
    user = UserFactory.create(roles=["screener"])
    services.reset_password(user=user, password="made by the admin 1", by=None)
    client = signed_in(user.username, "made by the admin 1")
    for header in ("Basic eDp5", "Bearer", "Bearer wrong", "Bearerwrong"):
        assert client.get("/api/v1/predictions", headers={"Authorization": header}).status_code in (401, 403), header


def test_the_passwords_of_setup_are_changed_at_the_first_sign_in(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("setup", no_static=True)
    password = next(line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("  reader "))
    client = signed_in("reader", password)
    assert client.get("/review/").headers["Location"] == "/accounts/password/"


def test_an_account_made_in_the_admin_starts_with_a_password_to_change(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    form = {"username": "new", "password1": "made by the admin 1", "password2": "made by the admin 1"}
    assert client.post("/admin/auth/user/add/", {**form, "usable_password": "true"}).status_code == 302
    assert signed_in("new", "made by the admin 1").get("/uploads/").headers["Location"] == "/accounts/password/"


def test_a_reset_ends_sessions_and_keys(client: Client) -> None:
    user = UserFactory.create(roles=["integrator"])
    session, key = signed_in(user.username), key_of(user)
    assert works(session)
    assert works(key)
    client.force_login(UserFactory.create(roles=["admin"]))
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    answer = client.post(reverse("admin:auth_user_password_change", args=[user.pk]), form)
    assert answer.status_code == 302
    assert not works(session)
    assert not works(key)
    assert signed_in(user.username, NEW).get("/uploads/").headers["Location"] == "/accounts/password/"


@pytest.mark.parametrize("end_keys", [True, False])
def test_a_change_ends_keys_if_the_person_says_so(end_keys: bool) -> None:
    user = UserFactory.create(roles=["integrator"])
    client, key = signed_in(user.username), key_of(user)
    assert change(client, **({"end_keys": "on"} if end_keys else {})) == 302
    assert works(key) is not end_keys


def test_staff_change_their_password_on_the_same_page(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    assert client.get("/admin/password_change/").headers["Location"] == "/accounts/password/"
