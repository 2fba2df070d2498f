"""What an integrator is promised by the API."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import timezone

from cataract.core import tokens
from cataract.core.errors import BadField, StorageFull
from cataract.core.models import ApiToken, IdempotentRequest
from predictions.answering.inference import answer_now
from predictions.answering.models import Disclosure, Prediction
from predictions.answering.worker import run_prediction
from predictions.photos.models import EyeImage
from tests.factories import EyeImageFactory, UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/predictions"


class Api:
    """A caller with a key."""

    def __init__(self, role: str = "integrator", scopes: tuple[str, ...] = ("upload", "read")) -> None:
        self.user = UserFactory.create(roles=[role])
        self.token, self.key = tokens.create_token(user=self.user, name="test", scopes=list(scopes), days=1)
        self.client = Client(headers={"Authorization": f"Bearer {self.key}"})

    def get(self, address: str, **query: str) -> Any:
        return self.client.get(address, query)

    def send(self, data: bytes = b"", *, key: str = "", name: str = "eye.jpg", **fields: Any) -> Any:
        values = {"photo": SimpleUploadedFile(name, data or jpeg_bytes(1)), "patient": "P-1", "eye": "OD", **fields}
        sent = {field: value for field, value in values.items() if value is not None}
        return self.client.post(URL, sent, headers={"Idempotency-Key": key} if key else {})


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_photo_gets_its_answer_inline(api: Api, champion: Any) -> None:
    data = jpeg_bytes(2, opacity=1.0)
    answer = api.send(data)
    body = answer.json()
    assert answer.status_code == 201 and answer["Location"] == f"{URL}/{body['id']}"
    assert body["prediction"] == body["decision"] == "cataract"
    assert body["confidence"] == body["probabilities"]["cataract"] > 0.5
    assert sum(body["probabilities"].values()) == pytest.approx(1)
    assert body["model_used"] in ("fast", "fast+accurate") and body["release"] == champion.pk
    assert 0 < body["processing_time"] < 60 and body["timings"]["total"] == pytest.approx(
        body["processing_time"] * 1000, abs=0.1
    )
    assert body["image"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert isinstance(body["needs_review"], bool) and isinstance(body["reasons"], list)
    assert "Not a diagnosis" in body["intended_use"]
    assert api.get(answer["Location"]).json() == body
    assert Disclosure.objects.filter(user=api.user).count() == 1


@pytest.mark.parametrize(("mode", "models"), [("fast", "fast"), ("accurate", "accurate"), ("always", "fast+accurate")])
def test_a_mode_asks_the_models_it_names(api: Api, champion: Any, mode: str, models: str) -> None:
    assert api.send(mode=mode).json()["model_used"] == models


def test_refusals_are_problems_with_codes(api: Api, champion: Any) -> None:
    two = [SimpleUploadedFile("a.jpg", jpeg_bytes(1)), SimpleUploadedFile("b.jpg", jpeg_bytes(2))]
    cases = [
        (api.send(b"x" * 4000), 415, "type_unknown", "photo"),
        (api.send(photo=SimpleUploadedFile("eye.jpg", b"")), 400, "file_empty", "photo"),
        (api.send(jpeg_bytes(1)[:3000]), 422, "image_truncated", "photo"),
        (api.send(photo=None), 400, "file_required", "photo"),
        (api.send(photo=two), 400, "too_many_files", "photo"),
        (api.send(eye="middle"), 422, "invalid", "eye"),
        (api.send(eye=None), 422, "invalid", "eye"),
        (api.send(patient="Anna Smith"), 422, "invalid", "patient"),
        (api.send(patient="P\x00"), 422, "invalid", "patient"),
        (api.send(mode="guess"), 422, "invalid", "mode"),
        (api.send(captured_at="2099-01-01T00:00:00Z"), 422, "invalid", "captured_at"),
        (api.get(URL + "/00000000-0000-0000-0000-000000000000"), 404, "not_found", None),
    ]
    for answer, status, code, field in cases:
        body = answer.json()
        assert (answer.status_code, body["code"], body.get("field")) == (status, code, field), body
        assert answer["Content-Type"] == "application/problem+json" and body["detail"]
    assert not EyeImage.objects.exists()


def test_a_photo_over_the_limit_is_refused_and_not_kept_in_memory(api: Api, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 5000
    answer = api.send(jpeg_bytes(1) + b"\x00" * 50_000)
    assert answer.status_code == 413 and answer.json()["code"] == "file_too_large"
    assert "this photo has 0.1 MB" in answer.json()["detail"]


def test_the_same_bytes_again(api: Api, champion: Any) -> None:
    first = api.send().json()
    again = api.send()
    assert again.status_code == 409 and again.json()["code"] == "duplicate"
    assert again.json()["existing"] == first["id"]
    assert api.send(patient="P-2").json()["code"] == "same_photo_other_patient"
    assert api.send(eye="OS").json()["code"] == "same_photo_both_eyes"
    assert api.send(send_anyway="true").status_code == 201
    assert EyeImage.objects.count() == 1


def test_a_key_makes_a_retry_safe(api: Api, champion: Any) -> None:
    first = api.send(key="k1")
    replay = api.send(key="k1")
    assert (replay.status_code, replay.json()) == (201, first.json())
    assert replay["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first
    other = api.send(jpeg_bytes(3), key="k1")
    assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
    refused = api.send(b"no photo", key="k2")
    assert refused.status_code == 415 and api.send(jpeg_bytes(3), key="k2").status_code == 201


def test_ten_equal_posts_at_once_are_one_photo(api: Api, champion: Any) -> None:
    def send(_: int) -> Any:
        try:
            return api.send(key="once")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, range(10)))
    assert {answer.status_code for answer in answers} <= {201, 202, 409}
    bodies = [answer.json() for answer in answers]
    assert {body["code"] for body in bodies if body["status"] == 409} <= {"request_running"}
    assert len({body["existing"] if body["status"] == 409 else body["id"] for body in bodies}) == 1
    assert any(answer.status_code == 201 for answer in answers)
    assert EyeImage.objects.count() == Prediction.objects.count() == IdempotentRequest.objects.count() == 1


def test_a_key_whose_first_request_still_runs_waits(api: Api, champion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running, go_on = threading.Event(), threading.Event()

    def answer(*args: Any) -> bool:
        running.set()
        return go_on.wait(60) and answer_now(*args)

    monkeypatch.setattr("predictions.answering.inference.answer_now", answer)

    def send() -> Any:
        try:
            return api.send(key="slow")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send)
        assert running.wait(60)
        again = api.send(key="slow")
        go_on.set()
        done = first.result().json()
    assert (again.status_code, again.json()["code"], again["Retry-After"]) == (409, "request_running", "1")
    assert again.json()["existing"] == done["id"] == api.send(key="slow").json()["id"]


def test_a_slow_answer_is_promised(api: Api, champion: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predictions.answering.inference.answer_now", lambda *args: False)
    monkeypatch.setattr("predictions.answering.tasks.predict.delay", _broken)
    answer = api.send()
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["prediction"], body["confidence"], body["processing_time"]) == (
        "queued",
        None,
        None,
        None,
    )
    assert api.get(answer["Location"]).status_code == 200


def test_workers_answer_where_they_are_to(
    api: Api, champion: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INFERENCE=celery: the request waits briefly for the worker; without one it gets 202."""
    settings.INFERENCE, settings.INFERENCE_WAIT_SECONDS = "celery", 30.0

    def work(prediction_id: str) -> None:
        try:
            run_prediction(prediction_id)
        finally:
            connections.close_all()

    monkeypatch.setattr("predictions.answering.tasks.predict.delay", work)
    monkeypatch.setattr("predictions.answering.inference.answer_now", _broken)
    answer = api.send()
    assert answer.status_code == 201 and answer.json()["prediction"] in ("cataract", "normal", "ungradable")
    assert {"inspect", "decode", "wait", "encode", "total"} <= set(answer.json()["timings"])
    monkeypatch.setattr("predictions.answering.tasks.predict.delay", _broken)
    settings.INFERENCE_WAIT_SECONDS = 0.2
    answer = api.send(jpeg_bytes(2), key="k")
    assert answer.status_code == 202 and answer.json()["status"] == "queued"
    assert api.send(jpeg_bytes(2), key="k").status_code == 202
    assert run_prediction(answer.json()["id"])
    assert api.send(jpeg_bytes(2), key="k").json()["status"] == "done"


def test_a_full_queue_takes_nothing(api: Api, settings: Any) -> None:
    settings.MAX_QUEUED_PREDICTIONS = 0
    answer = api.send()
    assert answer.status_code == 503 and answer.json()["code"] == "queue_full" and answer["Retry-After"] == "60"
    assert not EyeImage.objects.exists()


def test_a_full_disk_takes_nothing(api: Api, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = api.send()
    monkeypatch.undo()
    assert answer.status_code == 503 and answer.json()["code"] == StorageFull.code
    assert not EyeImage.objects.exists()
    assert not [file for file in settings.PHOTO_DIR.rglob("*") if file.is_file()]


def test_the_list_is_filtered_and_paged(api: Api, champion: Any) -> None:
    for seed in (1, 2, 3):
        api.send(jpeg_bytes(seed), patient=f"P-{seed}")
    everything = api.get(URL).json()
    assert [row["image"]["patient"] for row in everything["results"]] == ["P-3", "P-2", "P-1"]
    assert [row["image"]["patient"] for row in api.get(URL, patient="P-2").json()["results"]] == ["P-2"]
    assert api.get(URL, decision="ungradable").json()["results"] == []
    assert api.get(URL, eye="middle").status_code == 422
    assert Api().get(URL).json()["results"] == []


def test_keys_open_only_what_they_may(api: Api, champion: Any) -> None:
    address = api.send()["Location"]
    assert Client().get(address).status_code == 401
    assert (
        Client(headers={"Authorization": "Bearer cat_nonsense"}).get(address).json()["code"] == "authentication_failed"
    )
    assert Api().get(address).status_code == 404
    assert Api("auditor", ("read",)).get(address).status_code == 200
    reading = Api(scopes=("read",))
    assert reading.send().status_code == 403 and reading.send().json()["code"] == "permission_denied"
    assert Api("reader").send().status_code == 403
    tokens.revoke_token(token=api.token)
    assert api.get(address).status_code == 401


def test_a_key_is_stored_as_a_digest_and_ends(api: Api) -> None:
    row = ApiToken.objects.get()
    assert api.key.startswith("cat_") and api.key not in str(row.__dict__)
    assert api.get(URL).status_code == 200
    row.refresh_from_db()
    assert row.last_used_at is not None
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api.get(URL).status_code == 401
    with pytest.raises(BadField):
        tokens.create_token(user=api.user, name="x", scopes=["everything"], days=1)


def test_a_session_works_too(client: Client, champion: Any) -> None:
    client.force_login(UserFactory.create(roles=["screener"]))
    assert client.get(URL).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(UserFactory.create(roles=["screener"]))
    assert strict.post(URL, {"photo": SimpleUploadedFile("a.jpg", jpeg_bytes(1)), "eye": "OD"}).status_code == 403


def test_health_needs_no_key(client: Client, champion: Any) -> None:
    assert client.get("/api/v1/health/live").json() == {"status": "alive"}
    assert client.get("/api/v1/health/ready").json()["status"] == "ready"


def test_without_a_champion_it_is_degraded(client: Client) -> None:
    answer = client.get("/api/v1/health/ready")
    assert answer.status_code == 200 and answer.json()["status"] == "degraded"


def test_what_would_refuse_an_upload_is_not_ready(
    client: Client, champion: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> tuple[int, str, list[str]]:
        answer = client.get("/api/v1/health/ready")
        wrong = [need for need, said in answer.json()["checks"].items() if said != "ok"]
        return answer.status_code, answer.json()["status"], wrong

    assert asked() == (200, "ready", [])
    with monkeypatch.context() as patch:
        patch.setattr("cataract.ops.readiness.free_bytes", lambda folder: 5_000_000)
        assert asked() == (503, "unavailable", ["disk"])
    Prediction.objects.create(image=EyeImageFactory.create())
    settings.MAX_QUEUED_PREDICTIONS = 1
    assert asked() == (503, "unavailable", ["queue"])
    assert client.get("/api/v1/health/live").status_code == 200


def test_system_and_releases(champion: Any) -> None:
    admin = Api("admin")
    admin.send()
    system = admin.get("/api/v1/system").json()
    assert system["release"] == champion.pk and system["queued"] == 0 and system["milliseconds"]["p50"] > 0
    assert admin.get("/api/v1/releases").json()["results"][0]["status"] == "champion"
    assert Api("screener").get("/api/v1/system").status_code == 403


def test_the_schema_and_its_page_need_nothing_from_outside(api: Api) -> None:
    schema = api.get("/api/v1/schema/")
    assert schema.status_code == 200 and b"openapi: 3.1.0" in schema.content
    for name in (b"processing_time", b"Idempotency-Key", b"multipart/form-data", b"intended_use"):
        assert name in schema.content
    page = api.get("/api/v1/docs/")
    assert page.status_code == 200
    assert b"<style" not in page.content and b"https://" not in page.content and b"sidecar" in page.content


def _broken(*args: Any) -> None:
    raise ConnectionError("The broker is down.")
