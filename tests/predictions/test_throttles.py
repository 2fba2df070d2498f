"""A client that sends too many requests is told when to retry; others are not affected."""

import socket
import time
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core import tokens
from cataract.core.broker import counters
from cataract.core.http.throttles import PerCaller
from tests.factories import UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/predictions"


@pytest.fixture(autouse=True)
def low_rates(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(counters, "_away_until", 0.0)
    monkeypatch.setattr(PerCaller, "timer", lambda self: 1_000_000.0)  # no new minute begins within a test
    settings.API_RATES = settings.API_RATES | {"read": "2/min", "upload": "1/min", "anonymous": "1/min"}


def key_of(user: Any) -> Client:
    _, key = tokens.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def test_each_key_has_its_own_rate() -> None:
    user = UserFactory.create(roles=["integrator"])
    first, second = key_of(user), key_of(user)
    assert [first.get(URL).status_code for _ in range(3)] == [200, 200, 429]
    assert second.get(URL).status_code == 200
    refused = first.get(URL)
    assert refused["Content-Type"] == "application/problem+json" and refused.json()["code"] == "throttled"
    assert int(refused["Retry-After"]) == 21  # the minute that holds second 1,000,000 has 20 more


def test_reading_and_sending_are_counted_apart(champion: Any) -> None:
    client = key_of(UserFactory.create(roles=["integrator"]))

    def send(seed: int) -> Any:
        photo = SimpleUploadedFile("a.jpg", jpeg_bytes(seed))
        return client.post(URL, {"photo": photo, "eye": "OD"})

    assert (send(1).status_code, send(2).status_code) == (201, 429)
    assert client.get(URL).status_code == 200


def test_health_is_never_throttled_and_strangers_are(client: Client) -> None:
    assert [client.get("/api/v1/health/live").status_code for _ in range(5)] == [200] * 5
    assert client.get(URL).status_code == 401
    found = [client.get("/api/v1/docs/", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in (1, 2, 3)]
    assert found == [200, 429, 429]


@pytest.mark.services
def test_all_processes_count_together(redis_url: str, settings: Any) -> None:
    """What one process has in its own memory makes no difference."""
    settings.CELERY_BROKER_URL = redis_url
    client = key_of(UserFactory.create(roles=["integrator"]))
    assert client.get(URL).status_code == client.get(URL).status_code == 200
    cache.clear()
    assert client.get(URL).status_code == 429


def test_a_server_that_never_answers_holds_nobody_up(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        started = time.monotonic()
        assert [counters.count("k", seconds=60) for _ in range(50)] == list(range(1, 51))
        assert time.monotonic() - started < 2  # the first waits a fifth of a second; fifty times that would be ten


def sent_by_page(client: Client, seed: int) -> Any:
    form = client.get("/upload/").context["form"]
    photo = SimpleUploadedFile("a.jpg", jpeg_bytes(seed), "image/jpeg")
    return client.post(
        "/upload/", {"photo": photo, "eye": "OD", "patient_key": f"P-{seed}", "key": form["key"].value()}
    )


def test_uploads_by_the_page_are_limited_like_those_of_the_api(champion: Any, client: Client) -> None:
    client.force_login(UserFactory.create(roles=["screener"]))
    assert sent_by_page(client, 1).status_code == 303
    refused = sent_by_page(client, 2)
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
    assert "You have sent very much. Nothing was saved." in refused.content.decode()


def test_one_user_sends_so_many_bytes_a_day_by_pages_and_api_together(
    champion: Any, client: Client, settings: Any
) -> None:
    settings.API_RATES = settings.API_RATES | {"upload": "9/min", "batch": "9/min"}
    user = UserFactory.create(roles=["integrator"])
    client.force_login(user)
    assert sent_by_page(client, 1).status_code == 303
    settings.MAX_BYTES_PER_DAY = 1000
    refused = key_of(user).post(URL, {"photo": SimpleUploadedFile("a.jpg", jpeg_bytes(2)), "eye": "OD"})
    assert refused.status_code == 429 and "today, the most for one user" in refused.json()["detail"]
    assert int(refused["Retry-After"]) <= 24 * 3600
    assert sent_by_page(client, 3).status_code == 429
    batch = {"photos": [SimpleUploadedFile("a.jpg", jpeg_bytes(4))], "eye": "OD"}
    assert key_of(user).post("/api/v1/batches", batch).status_code == 429
    other = UserFactory.create(roles=["integrator"])
    settings.MAX_BYTES_PER_DAY = 1_000_000_000
    assert (
        key_of(other).post(URL, {"photo": SimpleUploadedFile("a.jpg", jpeg_bytes(5)), "eye": "OD"}).status_code == 201
    )
