"""The page of encoders: what otherwise only a command can do."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cataract.core.audit.models import Act, AuditEntry
from predictions.embeddings.models import EmbeddingJob
from predictions.releases.models import Release
from tests.factories import EyeImageFactory, UserFactory
from training.encoders import tasks, worker
from training.encoders.models import EncoderChange
from training.runs.base_releases import NoEncoder

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/training/encoders/"
ASKED = {"change": "1", "encoder-architecture": "ViT-B-32", "encoder-weights": "laion2b_s34b_b79k"}


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(tasks.make_encoder, "delay", sent.append)
    monkeypatch.setattr("cataract.core.broker.nudge._in_background", lambda publish: publish())
    monkeypatch.setattr("training.encoders.services.has_torch", lambda: True)
    return sent


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(UserFactory.create(username="admin", roles=["admin"]))
    return client


def test_an_admin_has_every_photo_embedded(admin: Client, champion: Release) -> None:
    EmbeddingJob.objects.all().delete()  # the promotion of the champion asked for one
    EyeImageFactory.create()
    assert admin.post(PAGE, {"embed": "1", "embed-release": champion.pk}).status_code == 302
    job = EmbeddingJob.objects.get()
    assert (job.release_id, job.total, str(job.requested_by)) == (champion.pk, 1, "admin")
    assert AuditEntry.objects.get(act=Act.ADMIN_CHANGED).detail["what"] == "asked for embeddings"
    page = admin.get(PAGE).content.decode()
    assert "0 of 1" in page and 'http-equiv="refresh"' in page


def test_a_worker_makes_the_base_release_that_an_admin_asked_for(
    admin: Client, champion: Release, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert admin.post(PAGE, ASKED).status_code == 302
    change = EncoderChange.objects.get()
    assert published == [str(change.pk)]
    again = admin.post(PAGE, ASKED)
    assert again.status_code == 422 and "being prepared already" in again.content.decode()

    def make(*, arch: str, tag: str, image_size: int, say: Any) -> Release:
        assert (arch, tag, image_size) == ("ViT-B-32", "laion2b_s34b_b79k", 0)
        say("reading the weights")
        assert "reading the weights" in admin.get(PAGE).content.decode()
        return champion

    monkeypatch.setattr(worker, "make_base", make)
    worker.make_encoder(str(change.pk))
    worker.make_encoder(str(change.pk))
    change.refresh_from_db()
    assert (change.status, change.release_id) == ("done", champion.pk)


def test_a_failure_says_why_and_a_lost_worker_is_noticed(
    admin: Client, champion: Release, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> Release:
        raise NoEncoder("There are no such weights.")

    monkeypatch.setattr(worker, "make_base", fail)
    admin.post(PAGE, ASKED)
    worker.make_encoder(published[0])
    assert "There are no such weights." in admin.get(PAGE).content.decode()
    admin.post(PAGE, ASKED)
    EncoderChange.objects.filter(status="queued").update(created_at=timezone.now() - timedelta(minutes=2))
    worker.sweep(publish=published.append)
    assert published[-1] == published[-2], "nobody took it: it is published again"
    EncoderChange.objects.filter(pk=published[-1]).move("running", heard_at=timezone.now() - worker.LOST * 2)
    worker.sweep(publish=published.append)
    assert EncoderChange.objects.get(pk=published[-1]).error == "Its worker was lost. Ask for it again."


def test_a_session_that_is_too_old_confirms_first_and_others_may_not(admin: Client, champion: Release) -> None:
    session = admin.session
    session["confirmed_at"] = 0
    session.save()
    answer = admin.post(PAGE, ASKED)
    assert answer.status_code == 302 and "reauthenticate" in answer["Location"]
    for role, get in (("auditor", 200), ("screener", 403)):
        admin.force_login(UserFactory.create(roles=[role]))
        assert admin.get(PAGE).status_code == get and admin.post(PAGE, ASKED).status_code == 403
    assert not EncoderChange.objects.exists()
