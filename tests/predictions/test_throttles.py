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
