"""A prediction is written once, even when messages repeat, workers die or leases end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from cataract.core.models import IdempotentRequest
from cataract.ml.cascade.policy import audit_rate
from predictions.answering import services, worker
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.facts import PhotoFacts
from predictions.photos.models import EyeImage
from tests.factories import UserFactory, jpeg_bytes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(champion: Any, monkeypatch: pytest.MonkeyPatch) -> Prediction:
    """A stored photo whose answer its request could not give, and whose message was lost."""
    with monkeypatch.context() as patch:
        patch.setattr("predictions.answering.inference.answer_now", lambda *args: False)
        patch.setattr("predictions.answering.tasks.predict.delay", lambda *args: None)
        prediction = services.upload_photo(data=jpeg_bytes(1), user=None, source="api", facts=PhotoFacts(eye="OD"))
    free(prediction)
    return prediction


def free(prediction: Prediction) -> None:
    Prediction.objects.filter(pk=prediction.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_task_answers_what_the_request_could_not(waiting: Prediction, champion: Any) -> None:
    assert worker.run_prediction(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.release_id, waiting.attempts) == ("done", champion.pk, 2)
    assert not worker.run_prediction(waiting.pk)


def test_the_worker_gives_the_answer_of_the_request(waiting: Prediction) -> None:
    worker.run_prediction(waiting.pk)
    inline = services.upload_photo(
        data=jpeg_bytes(1), user=None, source="api", facts=PhotoFacts(eye="OD"), send_anyway=True
    )
    waiting.refresh_from_db()
    assert inline.status == "done" and inline.probability == pytest.approx(waiting.probability, abs=1e-6)


def test_five_deliveries_at_once_write_once(waiting: Prediction) -> None:
    def deliver(_: int) -> bool:
        try:
            return worker.run_prediction(waiting.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(deliver, range(5))) == 1


def test_a_late_worker_writes_nothing(waiting: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(name: str) -> bytes:
        free(waiting)
        with monkeypatch.context() as patch:
            patch.setattr("predictions.photos.storage.read", real)
            assert worker.run_prediction(waiting.pk)
        return real(name)

    real = storage.read
    monkeypatch.setattr("predictions.photos.storage.read", slow)
    assert not worker.run_prediction(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.status == "done" and waiting.attempts == 3


def test_a_live_lease_is_respected(waiting: Prediction) -> None:
    Prediction.objects.filter(pk=waiting.pk).update(lease_until=timezone.now() + timedelta(minutes=1))
    assert not worker.run_prediction(waiting.pk)
    assert not worker.waiting().exists()


def test_the_sweeper_finishes_what_was_left(waiting: Prediction) -> None:
    assert worker.waiting().get() == waiting
    assert worker.sweep() == 1
    waiting.refresh_from_db()
    assert waiting.status == "done" and waiting.image.embeddings.count() == 1


def test_after_three_attempts_a_person_looks(waiting: Prediction, settings: Any) -> None:
    (Path(settings.PHOTO_DIR) / waiting.image.stored_name).unlink()
    for _ in range(3):
        free(waiting)
        worker.run_prediction(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.attempts) == ("failed", 3)
    assert waiting.needs_review and waiting.reasons == ["failed"] and waiting.error
    assert services.retry_prediction(prediction=waiting)


def test_a_worker_that_always_dies_ends_as_failed(waiting: Prediction) -> None:
    Prediction.objects.filter(pk=waiting.pk).update(attempts=3)
    worker.sweep()
    waiting.refresh_from_db()
    assert waiting.status == "failed" and "stopped 3 times" in waiting.error and waiting.needs_review


def test_the_sweeper_tidies_up(settings: Any) -> None:
    user = UserFactory.create(roles=["integrator"])
    row = IdempotentRequest.objects.create(user=user, endpoint="x", key="k", body_sha256="0" * 64)
    IdempotentRequest.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=25))
    stale = Path(settings.PHOTO_DIR) / "incoming" / ".tmp-1"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    assert storage.sweep_temporary(older_than_seconds=0) == 1 and not stale.exists()
    worker.sweep()
    assert not IdempotentRequest.objects.exists()


def test_a_known_share_of_the_sure_answers_is_read(champion: Any, settings: Any) -> None:
    settings.AUDIT_RATE = 0.5
    rows = [services.upload_photo(data=jpeg_bytes(seed), user=None, source="api") for seed in range(20, 32)]
    sure = [row for row in rows if row.reasons in ([], ["audit_sample"])]
    assert sure and all(row.review_propensity == audit_rate(row.probability, 0.5) for row in sure)
    assert all(row.needs_review == (row.reasons == ["audit_sample"]) for row in sure)
    assert all(row.review_propensity == 1 for row in rows if row not in sure)
    assert {row.needs_review for row in sure} == {True, False}


def test_metadata_never_reaches_the_store(settings: Any) -> None:
    canary = b"CANARY-7F3"
    data = jpeg_bytes(1)
    data = data[:2] + b"\xff\xfe" + (len(canary) + 2).to_bytes(2) + canary + data[2:] + canary
    services.upload_photo(data=data, user=None, source="api", name="eye.jpg")
    stored = [file.read_bytes() for file in Path(settings.PHOTO_DIR).rglob("*") if file.is_file()]
    assert stored and not any(canary in content for content in stored)
    assert EyeImage.objects.get().size == len(stored[0])
