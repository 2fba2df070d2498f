"""The batch pages work with plain forms; automatic refreshing stops when the batch is done."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from predictions.batches import views, worker
from predictions.batches.models import Batch
from tests.factories import SiteFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/batches/"


@pytest.fixture
def screener(client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("predictions.batches.tasks.run_batch.delay", lambda *args: None)
    client.force_login(UserFactory.create(roles=["screener"]))
    return client


def form_of(client: Client) -> dict[str, str]:
    page = client.get(URL).content.decode()
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found
    return {"key": found.group(1), "may_train": "on"}


def photo(seed: int = 1, name: str = "a.jpg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, jpeg_bytes(seed))


def test_photos_are_sent_watched_and_fetched(screener: Client, champion: Any) -> None:
    form: dict[str, Any] = form_of(screener)
    answer = screener.post(URL, {**form, "photos": [photo(1), photo(2, "<b>.jpg")], "eye": "OD"})
    batch = Batch.objects.get()
    address = f"{URL}{batch.pk}/"
    assert answer.status_code == 303 and answer["Location"] == address
    running = screener.get(address).content.decode()
    assert "hx-get" in running and "http-equiv" in running and "0 of 2 files" in running
    part = screener.get(address, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith("<div") and "asked=1" in part
    assert "hx-get" not in screener.get(address, {"asked": "300"}).content.decode()
    worker.run_batch(batch.pk)
    done = screener.get(address).content.decode()
    assert "hx-get" not in done and "2 of 2 files" in done and "&lt;b&gt;.jpg" in done and "<b>.jpg" not in done
    assert screener.get(f"{address}results.csv").status_code == 200
    assert "2 stored" in screener.get(URL).content.decode()


def test_it_is_cancelled_and_resumed_with_buttons(screener: Client) -> None:
    screener.post(URL, {**form_of(screener), "photos": [photo()]})
    address = f"{URL}{Batch.objects.get().pk}/"
    assert "Cancel remaining files" in screener.get(address).content.decode()
    assert "Resume" in screener.post(f"{address}cancel/", follow=True).content.decode()
    assert "Cancel remaining files" in screener.post(f"{address}resume/", follow=True).content.decode()


def test_what_was_wrong_stands_on_the_form(screener: Client, settings: Any) -> None:
    site, _ = SiteFactory.create(name="Clinic 7"), SiteFactory.create(name="Clinic 8")
    form = form_of(screener)
    table = SimpleUploadedFile("t.csv", b"file,eye\na.jpg,middle\n")
    answer = screener.post(URL, {**form, "photos": [photo()], "table": table, "site": site.pk})
    page = answer.content.decode()
    assert answer.status_code == 422 and "row 2" in page and "neither OD nor OS" in page
    assert f'value="{site.pk}" selected' in page
    form["site"] = str(site.pk)
    assert screener.post(URL, form).status_code == 400
    many = [SimpleUploadedFile(f"{number}.jpg", b"x") for number in range(101)]
    answer = screener.post(URL, {**form, "photos": many})
    assert answer.status_code == 413 and "as one ZIP" in answer.content.decode()
    settings.MAX_BATCH_BYTES = 1000
    answer = screener.post(URL, {**form, "photos": [photo()]})
    assert answer.status_code == 413 and "limit for one batch" in answer.content.decode()
    assert not Batch.objects.exists()


def test_the_form_needs_its_token(champion: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(UserFactory.create(roles=["screener"]))
    assert strict.post(URL, {"photos": [photo()]}).status_code == 403
    assert not Batch.objects.exists()


def test_strangers_see_nothing(screener: Client) -> None:
    screener.post(URL, {**form_of(screener), "photos": [photo()]})
    address = f"{URL}{Batch.objects.get().pk}/"
    other = Client()
    other.force_login(UserFactory.create(roles=["screener"]))
    assert other.get(address).status_code == other.post(f"{address}cancel/").status_code == 404
    assert Client().get(address).status_code == 302
    reader = Client()
    reader.force_login(UserFactory.create(roles=["reader"]))
    assert reader.get(URL).status_code == 403


def test_what_a_stranger_sends_is_never_received(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[object] = []
    monkeypatch.setattr(views, "SpoolHandler", received.append)
    response = client.post(URL, {"photos": SimpleUploadedFile("a.zip", b"PK" * 1000)})
    assert response.status_code == 302 and "/accounts/login/" in response.headers["Location"]
    assert not received
