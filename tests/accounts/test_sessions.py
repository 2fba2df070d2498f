"""Sessions end in time without losing work, are listed, and can be ended."""

import time
from collections.abc import Callable

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from cataract.accounts import worker
from tests.accounts.test_passwords import PASSWORD, signed_in, works
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass."""
    passed = 0.0
    real = time.time

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds
        monkeypatch.setattr("cataract.accounts.sessions.time.time", lambda: real() + passed)

    return move


@pytest.fixture
def reader() -> Client:
    UserFactory.create(username="reader", roles=["reader"])
    return signed_in("reader")


def is_in(client: Client, path: str = "/review/keys/") -> bool:
    return client.get(path).status_code == 200


def test_a_session_ends_when_idle(reader: Client, later: Callable[[float], None]) -> None:
    for _ in range(3):
        later(29 * MINUTE)
        assert is_in(reader)
    later(31 * MINUTE)
    answer = reader.get("/review/keys/")
    assert answer.headers["Location"] == "/accounts/login/?next=/review/keys/"
    page = reader.get(answer.headers["Location"])
    assert "You were signed out after 30 minutes without activity." in page.content.decode()
    form = {"login": "reader", "password": PASSWORD, "next": "/review/keys/"}
    assert reader.post("/accounts/login/", form).headers["Location"] == "/review/keys/"  # back where they were


def test_a_page_that_polls_by_itself_keeps_no_session_alive(reader: Client, later: Callable[[float], None]) -> None:
    for _ in range(4):
        later(10 * MINUTE)
        reader.get("/review/keys/", headers={"HX-Request": "true"})
        reader.post("/review/undo/", headers={"Sec-Fetch-Dest": "empty"})
    assert not is_in(reader)


def test_an_answer_sent_with_htmx_counts_as_activity(reader: Client, later: Callable[[float], None]) -> None:
    for _ in range(4):
        later(20 * MINUTE)
        reader.post("/review/undo/", headers={"HX-Request": "true", "Sec-Fetch-Dest": "empty"})
    assert is_in(reader)


def test_a_session_ends_however_active(reader: Client, later: Callable[[float], None]) -> None:
    for _ in range(24):
        assert is_in(reader)
        later(29.9 * MINUTE)
    assert is_in(reader)
    later(10 * MINUTE)
    assert not is_in(reader)


def test_the_api_says_401_when_the_session_is_over(reader: Client, later: Callable[[float], None]) -> None:
    later(31 * MINUTE)
    assert not works(reader)
    assert reader.get("/api/v1/predictions").status_code in (401, 403)


def test_a_form_sent_too_late_is_kept(reader: Client, later: Callable[[float], None]) -> None:
    """What a person has typed is there after signing in again, and is sent only when they say so."""
    later(31 * MINUTE)
    form = {"key_cataract": "k", "note": "two lines\nof text"}
    answer = reader.post("/review/keys/", form)
    assert answer.headers["Location"] == "/accounts/login/?next=/accounts/kept/"
    reader.post("/accounts/login/", {"login": "reader", "password": PASSWORD})
    page = reader.get("/accounts/kept/").content.decode()
    assert 'action="/review/keys/"' in page
    assert 'name="key_cataract" value="k"' in page
    assert "of text" in page
    assert reader.post("/accounts/kept/").status_code == 302  # discarded
    assert "two lines" not in reader.get("/accounts/kept/", follow=True).content.decode()


def test_a_kept_form_is_shown_to_its_sender_only(reader: Client, later: Callable[[float], None]) -> None:
    UserFactory.create(username="other", roles=["reader"])
    later(31 * MINUTE)
    reader.post("/review/keys/", {"note": "mine"})
    reader.post("/accounts/login/", {"login": "other", "password": PASSWORD})
    assert "mine" not in reader.get("/accounts/kept/", follow=True).content.decode()


def test_a_password_is_never_kept(reader: Client, later: Callable[[float], None]) -> None:
    later(31 * MINUTE)
    answer = reader.post(
        "/accounts/password/", {"oldpassword": PASSWORD}, headers={"Referer": "http://testserver/review/"}
    )
    assert answer.headers["Location"] == "/accounts/login/?next=/review/"


def test_sessions_are_listed_with_device_and_time_and_can_be_ended(reader: Client) -> None:
    other = Client(headers={"User-Agent": "Telescope 9"})
    other.post("/accounts/login/", {"login": "reader", "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")
    page = reader.get("/accounts/sessions/").content.decode()
    assert "Telescope 9" in page
    assert "192.0.2.7" in page
    assert page.count("This device") == 1
    assert is_in(other)
    action = page.split('action="/accounts/sessions/')[1].split('"')[0]
    assert reader.post(f"/accounts/sessions/{action}").status_code == 302
    assert not is_in(other)
    assert is_in(reader)


def test_sign_out_everywhere_else(reader: Client) -> None:
    others = [signed_in("reader") for _ in range(3)]
    assert reader.post("/accounts/sessions/").status_code == 302
    assert is_in(reader)
    assert not any(is_in(other) for other in others)


def test_nobody_ends_the_session_of_another(reader: Client) -> None:
    UserFactory.create(username="other", roles=["reader"])
    other = signed_in("other")
    assert reader.post("/accounts/sessions/1/end/").status_code in (302, 404)
    for number in range(1, 30):
        if reader.post(f"/accounts/sessions/{number}/end/").status_code == 302:
            break
    assert is_in(other)


def test_an_admin_signs_somebody_out(client: Client, reader: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    user = User.objects.get(username="reader")
    client.post("/admin/auth/user/", {"action": "sign_out", "_selected_action": [user.pk]})
    assert not is_in(reader)


def test_sessions_that_are_over_leave_nothing(reader: Client) -> None:
    other = signed_in("reader")
    Session.objects.filter(pk=other.session.session_key).update(expire_date=timezone.now())
    gone = signed_in("reader")
    Session.objects.filter(pk=gone.session.session_key).delete()
    worker.sweep_sessions()
    assert Session.objects.count() == UserSession.objects.count() == 1
    assert is_in(reader)


def test_secrets_and_sessions_of_people_have_no_admin_page(client: Client) -> None:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    for name in ("mfa/authenticator", "usersessions/usersession", "account/emailaddress"):
        assert client.get(f"/admin/{name}/").status_code == 404, name


def test_a_session_without_a_date_is_over(reader: Client) -> None:
    session = reader.session
    del session["signed_in_at"]
    session.save()
    assert not is_in(reader)
