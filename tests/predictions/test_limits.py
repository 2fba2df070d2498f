"""Every limit that a page, a refusal or the API's description states is the one in the settings."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cataract.core.http.limits import size_text
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def screener(settings: Any) -> Client:
    settings.MAX_UPLOAD_BYTES = 5_000_000
    settings.MAX_BATCH_BYTES = 300_000_000
    settings.MAX_BATCH_FILES = 4_000
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 7
    client = Client()
    client.force_login(UserFactory.create(roles=["screener"]))
    return client


def test_the_upload_page_states_the_limit_and_hands_it_to_the_script(screener: Client) -> None:
    page = screener.get("/upload/").content.decode()
    assert "at most 5 MB" in page and "20 MB" not in page
    assert 'data-max-bytes="5000000"' in page and 'data-max-size="5 MB"' in page


def test_the_batch_page_states_the_limits(screener: Client) -> None:
    page = screener.get("/batches/").content.decode()
    assert "Up to 7 JPEG" in page and "at most 5 MB each" in page
    assert "Up to 4,000 photos and 300 MB" in page


def test_the_refusal_of_too_many_files_states_the_limit(screener: Client) -> None:
    photos = [SimpleUploadedFile(f"{number}.jpg", b"x") for number in range(8)]
    response = screener.post("/batches/", {"photos": photos})
    assert response.status_code == 413 and "At most 7 photos at a time" in response.content.decode()


def test_the_description_of_the_api_states_the_limits(screener: Client) -> None:
    schema = screener.get("/api/v1/schema/", headers={"Accept": "application/json"}).json()
    parts = schema["components"]["schemas"]
    assert "at most 5 MB" in parts["Upload"]["properties"]["photo"]["description"]
    batch = parts["BatchUpload"]["properties"]
    assert "Up to 7 photo files" in batch["photos"]["description"]
    assert "4,000 files" in batch["archive"]["description"]
    assert "Up to 7 files" in schema["paths"]["/api/v1/batches"]["post"]["description"]


@pytest.mark.parametrize(
    ("size", "text"),
    [(20_000_000, "20 MB"), (2_000_000_000, "2 GB"), (1_500_000, "1.5 MB"), (5_000, "5 kB"), (12, "12 bytes")],
)
def test_sizes_are_written_in_decimal_units(size: int, text: str) -> None:
    assert size_text(size) == text
