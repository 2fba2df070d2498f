"""Guessing passwords becomes slow, and no stranger keeps anybody out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cataract.accounts.models import FailedSignIns
from tests.accounts.test_passwords import NEW, PASSWORD, signed_in
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def behind_a_proxy(settings: Any) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}


@pytest.fixture
def user() -> User:
    made: User = UserFactory.create(username="reader", roles=["reader"])
    return made


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    passed, real = 0.0, timezone.now

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        monkeypatch.setattr("cataract.accounts.attempts.timezone.now", lambda: real() + timedelta(seconds=passed))

    return move


def attempt(password: str, *, name: str = "reader", seen: str = "203.0.113.9", client: Client | None = None) -> Any:
    """One attempt to sign in; the proxy saw it come from `seen`."""
    sent = {"login": name, "password": password}
    return (client or Client()).post("/accounts/login/", sent, headers={"X-Forwarded-For": seen})


def test_strangers_elsewhere_keep_nobody_out(user: User) -> None:
    """Finding 5: five wrong passwords from one address, then the right one from another."""
    for _ in range(20):
        attempt("wrong")
    assert attempt(PASSWORD).status_code == 429
    assert attempt(PASSWORD, seen="198.51.100.7").status_code == 302


def test_an_address_that_the_caller_makes_up_does_not_count(user: User) -> None:
    for number in range(5):
        attempt("wrong", seen=f"198.51.100.{number}, 203.0.113.9")
    assert attempt(PASSWORD, seen="192.0.2.1, 203.0.113.9").status_code == 429


def test_waits_grow_and_end(user: User, later: Callable[[float], None]) -> None:
    waits = []
    for _ in range(4):
        assert attempt("wrong").status_code == 200
    for _ in range(8):
        assert attempt("wrong").status_code == 200
        refused = attempt(PASSWORD)
        assert refused.status_code == 429
        waits.append(int(refused.headers["Retry-After"]))
        later(waits[-1] + 1)
    expected = [30, 60, 120, 240, 480, 900, 900, 900]
    assert all(abs(wait - right) <= 2 for wait, right in zip(waits, expected, strict=True)), waits
    assert attempt(PASSWORD).status_code == 302
    assert attempt("wrong").status_code == 200  # the count began anew


def test_attempts_while_waiting_do_not_prolong_the_wait(user: User, later: Callable[[float], None]) -> None:
    for _ in range(5):
        attempt("wrong")
    for _ in range(3):
        assert attempt("wrong").status_code == 429
        later(11)
    assert attempt(PASSWORD).status_code == 302


def test_the_page_says_what_is_so(user: User) -> None:
    for _ in range(5):
        attempt("wrong")
    page = attempt(PASSWORD).content.decode()
    assert "Wait 31 seconds before you try again." in page or "Wait 30 seconds before you try again." in page
    assert "Your password was not checked this time." in page
    assert "The account is not locked." in page


def test_a_known_browser_is_not_made_to_wait_by_others(user: User) -> None:
    """Not even by somebody in the same clinic, behind the same address."""
    mine = Client()
    assert attempt(PASSWORD, client=mine).status_code == 302
    mine.post("/accounts/logout/")
    for _ in range(10):
        attempt("wrong")
    assert attempt(PASSWORD).status_code == 429
    assert attempt(PASSWORD, client=mine).status_code == 302


def test_a_known_browser_has_its_own_count(user: User) -> None:
    mine = Client()
    attempt(PASSWORD, client=mine)
    mine.post("/accounts/logout/")
    for _ in range(5):
        attempt("wrong", client=mine)
    assert attempt(PASSWORD, client=mine).status_code == 429


def test_the_browser_of_one_person_is_no_way_in_for_another(user: User) -> None:
    UserFactory.create(username="other")
    mine = Client()
    attempt(PASSWORD, name="other", client=mine)
    mine.post("/accounts/logout/")
    for _ in range(5):
        attempt("wrong", client=mine)
    assert attempt(PASSWORD, client=mine).status_code == 429
    forged = Client()
    forged.cookies["device-8000"] = "eyIxIjoieCJ9:1tXxXx:forged"
    assert attempt(PASSWORD, client=forged).status_code == 429


def test_one_name_from_many_addresses_waits_seconds_at_most(user: User) -> None:
    for number in range(70):
        attempt("wrong", seen=f"10.1.{number}.1")
    refused = attempt(PASSWORD, seen="198.51.100.7")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) <= 31
    assert FailedSignIns.objects.get(scope="account").failures <= 56  # the others were not even looked at


def test_many_names_from_one_address_are_slowed(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """And cost no password hash."""
    hashed: list[str] = []
    monkeypatch.setattr(ModelBackend, "authenticate", lambda *_, username="", **__: hashed.append(username))
    answers = [attempt("wrong", name=f"name{number}").status_code for number in range(60)]
    assert answers[:30] == [200] * 30
    assert answers.count(429) >= 28
    assert len(hashed) <= 32
    assert attempt("wrong", name="name-x", seen="198.51.100.7").status_code == 200


def test_addresses_of_one_ipv6_network_count_as_one(user: User) -> None:
    for number in range(5):
        attempt("wrong", seen=f"2001:db8:1:2::{number}")
    assert attempt(PASSWORD, seen="2001:db8:1:2:ffff::1").status_code == 429
    assert attempt(PASSWORD, seen="2001:db8:1:3::1").status_code == 302


def test_an_attempt_counts_before_the_password_is_checked(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise many at once would all be free."""
    seen: list[int] = []

    def check(*_: Any, **__: Any) -> None:
        seen.append(FailedSignIns.objects.get(scope="pair").failures)

    monkeypatch.setattr(ModelBackend, "authenticate", check)
    attempt("wrong")
    attempt("wrong")
    assert seen == [1, 2]


def test_signing_in_clears_no_count_of_others(user: User) -> None:
    """A stranger with one account of their own gains no free guesses at others by using it."""
    UserFactory.create(username="mine")
    for time in range(5):
        for number in range(5):
            attempt("wrong", name=f"name{time}-{number}")
        assert attempt(PASSWORD, name="mine").status_code == 302
    assert FailedSignIns.objects.get(scope="address").failures == 25


def test_known_and_unknown_names_look_alike(user: User) -> None:
    for name in ("reader", "no-such-person"):
        for _ in range(5):
            assert attempt("wrong", name=name, seen="203.0.113.77").status_code == 200
        assert attempt("wrong", name=name, seen="203.0.113.77").status_code == 429


def test_no_name_is_stored(user: User) -> None:
    """Somebody types a password where the name belongs."""
    attempt("x", name="my secret password")
    for row in FailedSignIns.objects.all():
        assert "secret" not in row.key


def test_an_admin_ends_the_wait(client: Client, user: User) -> None:
    for _ in range(5):
        attempt("wrong")
    assert attempt(PASSWORD).status_code == 429
    client.force_login(UserFactory.create(roles=["admin"]))
    client.post("/admin/auth/user/", {"action": "let_try_again", "_selected_action": [user.pk]})
    assert attempt(PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/accounts/reauthenticate/", {"password": "wrong"}),
        ("/accounts/password/", {"oldpassword": "wrong", "password1": NEW, "password2": NEW}),
    ],
)
def test_whoever_finds_an_open_session_cannot_guess_either(user: User, address: str, form: dict[str, str]) -> None:
    client = signed_in("reader")
    answers = [client.post(address, form).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
