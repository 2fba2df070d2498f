"""Single sign-on against a real OpenID provider in its own process: groups give roles, and access ends with them."""

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.test import Client
from django.utils import timezone

from cataract.accounts import single_sign_on, worker
from cataract.core import tokens
from cataract.core.audit.models import Act, AuditEntry
from cataract.core.models import ApiToken
from cataract.roles import ensure_roles
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
BACKCHANNEL: dict[str, dict[str, str]] = {"http://schemas.openid.net/event/backchannel-logout": {}}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of an OpenID provider that runs as another program would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                requests.get(f"{address}/jwks", timeout=1)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(autouse=True)
def configured(settings: Any, provider: str, db: None) -> None:
    ensure_roles()
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = provider, "cataract", "secret"
    settings.OIDC_ROLES = {"eye-readers": "reader", "eye-admins": "admin", "cameras": "screener"}
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "SCOPE": ["openid", "profile", "email"],
            "APPS": [
                {
                    "provider_id": "sso",
                    "name": "Hospital",
                    "client_id": "cataract",
                    "secret": "secret",
                    "settings": {"server_url": provider},
                }
            ],
        }
    }


def say(provider: str, subject: str, **claims: Any) -> None:
    """Let the provider say this about a person from now on."""
    requests.put(f"{provider}/users/{subject}", json={"preferred_username": subject, **claims}, timeout=5)


def sign_on(client: Client, subject: str) -> Any:
    """Go to the provider and back, as a browser does; the answer to coming back."""
    to_provider = client.post("/accounts/sign-on/sso/?next=/uploads/")
    assert to_provider.status_code == 302, to_provider.content
    assert "code_challenge=" in to_provider["Location"]
    back = requests.post(to_provider["Location"], data={"sub": subject}, allow_redirects=False, timeout=5)
    address = back.headers["Location"]
    assert address.startswith("http://testserver/accounts/sign-on/sso/back/?"), address
    return client.get(address.removeprefix("http://testserver"))


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def test_groups_make_the_account_and_its_roles_follow_them_at_each_sign_in(provider: str) -> None:
    say(provider, "ada", groups=["eye-readers", "canteen"], given_name="Ada")
    client = Client()
    assert sign_on(client, "ada")["Location"] == "/uploads/"
    user = User.objects.get(username="ada")
    assert [role.name for role in user.groups.all()] == ["reader"]
    assert user.first_name == "Ada" and not user.has_usable_password() and not user.is_staff
    assert is_signed_in(client) and UserSession.objects.filter(user=user).exists()
    assert SocialAccount.objects.get(user=user).extra_data == {}, "what the provider says is not kept"

    say(provider, "ada", groups=["eye-admins"])
    assert sign_on(Client(), "ada").status_code == 302
    user.refresh_from_db()
    assert [role.name for role in user.groups.all()] == ["admin"] and user.is_staff
    changes = AuditEntry.objects.filter(act=Act.RIGHTS_CHANGED, kind="auth.user", object=str(user.pk))
    assert changes.filter(detail__event="roles_changed").count() == 2


def test_who_has_lost_the_groups_loses_sessions_and_keys(provider: str) -> None:
    say(provider, "bo", groups=["cameras"])
    browser = Client()
    sign_on(browser, "bo")
    user = User.objects.get(username="bo")
    _, key = tokens.create_token(user=user, name="mine", scopes=["read"], days=1)
    bearer = {"Authorization": f"Bearer {key}"}
    assert Client().get("/api/v1/predictions", headers=bearer).status_code == 200

    say(provider, "bo", groups=["canteen"])
    refused = sign_on(Client(), "bo")
    assert refused.status_code == 403 and "Your access has ended" in refused.content.decode()
    assert not is_signed_in(browser)
    assert Client().get("/api/v1/predictions", headers=bearer).status_code == 401
    user.refresh_from_db()
    assert not user.is_active
    say(provider, "bo", groups=["cameras"])
    again = Client()
    assert "/accounts/inactive/" in sign_on(again, "bo")["Location"], "an admin opens a closed account, nobody else"


def test_a_stranger_gets_no_account_and_no_name_takes_over_another_one(provider: str) -> None:
    say(provider, "eve", groups=["canteen"])
    assert sign_on(Client(), "eve").status_code == 403
    assert not User.objects.filter(username="eve").exists()
    UserFactory.create(username="boss", roles=["admin"])
    say(provider, "boss", groups=["cameras"])
    assert sign_on(Client(), "boss").status_code == 403
    assert [role.name for role in User.objects.get(username="boss").groups.all()] == ["admin"]
    assert not SocialAccount.objects.exists()


def test_people_of_the_provider_have_no_password_here(provider: str) -> None:
    say(provider, "cy", groups=["cameras"])
    sign_on(Client(), "cy")
    user = User.objects.get(username="cy")
    user.set_password("a long enough password")
    user.save()
    client = Client()
    answer = client.post("/accounts/login/", {"login": "cy", "password": "a long enough password"})
    assert answer.status_code == 403 and not is_signed_in(client)
    assert "Sign in through" in client.get("/accounts/login/").content.decode()


def test_the_second_factor_of_the_provider_counts_when_it_says_so(provider: str, settings: Any) -> None:
    settings.SECOND_FACTOR_ROLES = ["admin"]
    say(provider, "di", groups=["eye-admins"])
    client = Client()
    sign_on(client, "di")
    assert "/accounts/second-factor/" in client.get("/uploads/")["Location"]
    say(provider, "di", groups=["eye-admins"], amr=["pwd", "mfa"])
    client = Client()
    sign_on(client, "di")
    assert client.get("/uploads/").status_code == 200


def test_what_changes_much_asks_the_provider_again(provider: str, settings: Any) -> None:
    settings.STEP_UP_MINUTES = 5
    say(provider, "ed", groups=["eye-admins"], auth_time=int(time.time()) - 3600)
    client = Client()
    sign_on(client, "ed")
    asked = client.post("/safety-switch/", {"reason": "x"}, follow=True)
    assert "Confirm through" in asked.content.decode()
    assert "prompt%3Dlogin%26max_age%3D0" in asked.content.decode()
    say(provider, "ed", groups=["eye-admins"], auth_time=int(time.time()))
    sign_on(client, "ed")
    assert "The AI is off" in client.post("/safety-switch/", {"reason": "x"}, follow=True).content.decode()


def test_the_provider_ends_sessions_by_a_signed_token(provider: str, settings: Any) -> None:
    say(provider, "flo", groups=["cameras"])
    browser = Client()
    sign_on(browser, "flo")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with _keys_of(key) as address:
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"]["openid_configuration_overrides"] = {"jwks_uri": address}
        claims = {"iss": provider, "aud": "cataract", "iat": int(time.time()), "exp": int(time.time()) + 60}
        claims |= {"jti": "1", "sub": "flo", "events": BACKCHANNEL}
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        for bad in (
            _signed(claims, stranger),
            _signed({**claims, "events": {}, "jti": "2"}, key),
            _signed({**claims, "aud": "another", "jti": "3"}, key),
            _signed({**claims, "nonce": "n", "jti": "4"}, key),
            jwt.encode({**claims, "jti": "5"}, "", algorithm="none", headers={"kid": "k"}),
            "nonsense",
        ):
            assert Client().post("/accounts/sign-on-logout/", {"logout_token": bad}).status_code == 400, bad
        assert is_signed_in(browser)
        good = {"logout_token": _signed({**claims, "jti": "6"}, key)}
        assert Client(enforce_csrf_checks=True).post("/accounts/sign-on-logout/", good).status_code == 200
    assert not is_signed_in(browser)


def test_access_rests_on_a_sign_in_of_the_last_weeks(provider: str, settings: Any) -> None:
    say(provider, "gus", groups=["cameras"])
    browser = Client()
    sign_on(browser, "gus")
    user = User.objects.get(username="gus")
    tokens.create_token(user=user, name="mine", scopes=["read"], days=90)
    worker.sweep_sessions()
    assert is_signed_in(browser)
    late = timezone.now() - timedelta(days=settings.OIDC_UNSEEN_DAYS + 1)
    SocialAccount.objects.filter(user=user).update(last_login=late)
    worker.sweep_sessions()
    assert not is_signed_in(browser)
    assert ApiToken.objects.get(user=user).revoked_at is not None


def test_a_half_set_provider_is_said_before_the_start(settings: Any) -> None:
    settings.OIDC_CLIENT_SECRET, settings.OIDC_ROLES = "", {"x": "boss"}
    words = " ".join(problem.msg for problem in run_checks(tags=["settings"]))
    assert "OIDC_CLIENT_SECRET" in words and "boss" in words


def test_without_a_provider_nothing_of_it_answers(settings: Any) -> None:
    settings.OIDC_ISSUER = ""
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": []}}
    assert Client().post("/accounts/sign-on/sso/").status_code == 404
    assert Client().post("/accounts/sign-on-logout/", {"logout_token": "x"}).status_code == 404
    assert "Sign in through" not in Client().get("/accounts/login/").content.decode()
    assert not single_sign_on.is_on()


def _signed(claims: dict[str, Any], key: rsa.RSAPrivateKey) -> str:
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "k"})


class _keys_of:
    """Serves the public key of the provider's signatures, at the address that it yields."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        shown = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        body = json.dumps({"keys": [{**shown, "kid": "k", "alg": "RS256"}]}).encode()

        class Keys(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/jwks"

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()
