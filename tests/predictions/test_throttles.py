"""Who asks too often is told when to come back; nobody else notices."""

from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from predictions import services
from tests.factories import jpeg_bytes, make_user

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/predictions"


@pytest.fixture(autouse=True)
def counters(settings: Any) -> None:
    cache.clear()
    settings.API_RATES = settings.API_RATES | {"read": "2/min", "upload": "1/min", "anonymous": "1/min"}


def key_of(user: Any) -> Client:
    _, key = services.create_token(user=user, name="test", scopes=["upload", "read"], days=1)
    return Client(headers={"Authorization": f"Bearer {key}"})


def test_each_key_has_its_own_rate() -> None:
    user = make_user("integrator")
    first, second = key_of(user), key_of(user)
    assert [first.get(URL).status_code for _ in range(3)] == [200, 200, 429]
    assert second.get(URL).status_code == 200
    refused = first.get(URL)
    assert refused["Content-Type"] == "application/problem+json" and refused.json()["code"] == "throttled"
    assert 0 < int(refused["Retry-After"]) <= 61


def test_reading_and_sending_are_counted_apart(champion: Any) -> None:
    client = key_of(make_user("integrator"))

    def send(seed: int) -> Any:
        photo = SimpleUploadedFile("a.jpg", jpeg_bytes(seed))
        return client.post(URL, {"photo": photo, "eye": "OD"})

    assert (send(1).status_code, send(2).status_code) == (201, 429)
    assert client.get(URL).status_code == 200


def test_health_is_never_throttled_and_strangers_are(client: Client) -> None:
    assert [client.get("/api/v1/health/live").status_code for _ in range(5)] == [200] * 5
    assert [client.get(URL).status_code for _ in range(2)] == [401, 401]
