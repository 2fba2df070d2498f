"""The status page: what is wrong in words, safe repairs on record, and nothing slow in the request."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cataract.accounts.models import FailedSignIns
from cataract.core.audit.models import Act, AuditEntry
from cataract.core.models import Prepared
from cataract.core.prepared import store_part
from cataract.ops import signs_of_life
from cataract.ops.doctor import Finding
from cataract.ops.notices import conditions
from cataract.ops.notices import worker as notices
from cataract.ops.notices.models import Notice
from cataract.status import worker
from predictions.answering.models import Prediction
from tests.factories import PredictionFactory, ReleaseFactory, TrainingRunFactory, UserFactory
from tests.record import lifted

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return UserFactory.create(roles=["admin"], username="ada")


@pytest.fixture
def client(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What broker and workers answer."""
    found: dict[str, Any] = {
        "queues": {"predict": 3, "train": 0, "default": 1},
        "workers": ["one@clinic", "two@clinic"],
    }
    monkeypatch.setattr(signs_of_life, "ask_broker", lambda: found)
    return found


def page_of(client: Client) -> str:
    response = client.get("/status/")
    assert response.status_code == 200
    return str(response.content.decode())


def test_workers_are_shown_with_their_last_sign_of_life(client: Client, answers: dict[str, Any]) -> None:
    assert "No worker has reported yet." in page_of(client)
    signs_of_life.note_signs_of_life()
    page = page_of(client)
    assert "Everything works." in page and page.count("At work") == 2 and "Messages to answer photos" in page
    content: Any = Prepared.objects.get(pk="signs of life").content
    content["workers"]["two@clinic"] = (timezone.now() - timedelta(hours=1)).isoformat()
    store_part("signs of life", content, as_of=timezone.now())
    answers["workers"] = ["one@clinic"]
    signs_of_life.note_signs_of_life()
    page = page_of(client)
    assert page.count("At work") == 1 and page.count("Silent") == 1
    assert {each.name for each in signs_of_life.last_signs().alive} == {"one@clinic"}
    answers.update(queues=None, workers=["one@clinic"])
    signs_of_life.note_signs_of_life()
    assert "The broker did not answer the worker." in page_of(client)


def test_a_silent_system_says_so_in_words(client: Client) -> None:
    old = timezone.now() - timedelta(minutes=34)
    store_part("signs of life", {"workers": {"one@clinic": old.isoformat()}, "queues": {}}, as_of=old)
    page = page_of(client)
    assert "1 thing needs somebody." in page and "No worker has reported for 34 minutes" in page


def test_queues_show_depth_and_age(client: Client) -> None:
    waiting = PredictionFactory.create(status="queued", decision="", done_at=None)
    with lifted():
        Prediction.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(hours=3))
    page = page_of(client)
    assert "Photos for the AI" in page and "3\xa0hours" in page and "Late" in page
    assert client.get("/uploads/?state=queued").status_code == 200


def test_what_the_doctor_finds_is_kept_for_the_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Finding("ok", "disk", "80 GB are free."),
        Finding("error", "photos", "EyeImage 7 has changed.", "Run `manage.py restore`."),
    ]
    monkeypatch.setattr(worker, "examine", lambda _say: iter(found))
    asked: list[str] = []
    monkeypatch.setattr("cataract.status.services.nudge", lambda _task, name: asked.append(name))
    assert "Nobody has examined the system yet" in page_of(client)
    for _ in range(2):
        assert client.post("/status/doctor/")["Location"] == "/status/"
    assert asked == ["doctor"], "one worker is enough"
    assert AuditEntry.objects.filter(act=Act.OPERATED).get().detail == {"what": "asked for an examination"}
    assert "A worker examines the system" in page_of(client)
    worker.examine_system()
    page = page_of(client)
    assert "EyeImage 7 has changed." in page and "Run manage.py restore." in page and "80 GB are free." in page
    assert page.index("EyeImage 7") < page.index("80 GB")


def test_failed_photos_are_tried_again(client: Client, admin: User) -> None:
    failed = PredictionFactory.create(status="failed", decision="", done_at=None, error="x", reasons=["failed"])
    assert "1 photo could not be analysed." in page_of(client)
    assert "1 photo queued again." in client.post("/status/photos/retry/", follow=True).content.decode()
    failed.refresh_from_db()
    assert failed.status == "queued"
    entry = AuditEntry.objects.get(act=Act.OPERATED)
    assert entry.user == admin and entry.detail == {"what": "tried failed photos again", "count": 1}


def test_an_interrupted_run_is_resumed_once(client: Client) -> None:
    run = TrainingRunFactory.create(status="interrupted", kind="fast")
    assert f"/status/runs/{run.pk}/resume/" in page_of(client)
    assert "The run is queued again." in client.post(f"/status/runs/{run.pk}/resume/", follow=True).content.decode()
    run.refresh_from_db()
    assert run.status == "queued" and AuditEntry.objects.filter(act=Act.OPERATED, object=str(run.pk)).count() == 1
    refused = client.post(f"/status/runs/{run.pk}/resume/", follow=True).content.decode()
    assert "only an interrupted run can be resumed" in refused
    assert AuditEntry.objects.filter(act=Act.OPERATED).count() == 1


def test_somebody_who_must_wait_is_let_in(client: Client) -> None:
    person = UserFactory.create(username="dr.huber")
    FailedSignIns.objects.create(scope="pair", key="k", user=person, failures=9)
    FailedSignIns.objects.create(scope="account", key="l", user=UserFactory.create(username="bystander"), failures=3)
    page = page_of(client)
    assert "dr.huber must wait" in page and "bystander" not in page
    client.post(f"/status/accounts/{person.pk}/let-in/")
    assert "dr.huber must wait" not in page_of(client)


# Notices --------------------------------------------------------------------------------------------------------------
def test_a_notice_has_an_owner_and_a_state(client: Client, admin: User) -> None:
    TrainingRunFactory.create(status="failed", error="The disk is full.")
    notices.sweep()
    notice = Notice.objects.get()
    assert notice.state == "new" and "Nobody takes care of it yet" in page_of(client)
    client.post(f"/notices/{notice.pk}/own/")
    notice.refresh_from_db()
    assert notice.owner == admin and notice.state == "seen" and not Notice.objects.unseen_by(admin).exists()
    assert "You take care of it" in page_of(client)
    other = Client()
    other.force_login(UserFactory.create(roles=["admin"]))
    assert "ada takes care of it" in page_of(other)
    other.post(f"/notices/{notice.pk}/own/", {"leave": "1"})
    notice.refresh_from_db()
    assert notice.owner == admin, "nobody gives back what is not theirs"
    client.post(f"/notices/{notice.pk}/own/", {"leave": "1"})
    notice.refresh_from_db()
    assert notice.owner is None
    Notice.objects.update(resolved_at=timezone.now())
    assert Notice.objects.get().state == "resolved"
    assert AuditEntry.objects.filter(act=Act.OPERATED, object=str(notice.pk)).count() == 2


def kinds() -> set[str]:
    return {finding.kind.value for finding in conditions.current()}


def test_photos_that_wait_too_long_are_a_notice() -> None:
    waiting = PredictionFactory.create(status="queued", decision="", done_at=None)
    assert kinds() == set()
    with lifted():
        Prediction.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(minutes=20))
    assert kinds() == {"predictions_late"}


def test_a_system_without_a_release_or_with_one_that_cannot_answer_is_a_notice() -> None:
    release = ReleaseFactory.create(status="challenger")
    unanswered = {"decision": "", "release": None, "needs_review": True, "reasons": ["no_champion"]}
    assert kinds() == set(), "a new system that has answered nothing yet"
    photo = PredictionFactory.create(**unanswered)
    assert kinds() == {"no_champion"}
    release.status, release.promoted_at = "champion", timezone.now()
    release.save()
    assert kinds() == set(), "the photo was sent before the release served"
    with lifted():
        Prediction.objects.filter(pk=photo.pk).update(done_at=timezone.now() + timedelta(seconds=5))
    assert kinds() == {"release_degraded"}


def test_missing_backups_and_full_disks_are_notices(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BACKUP_REPOSITORY = "/mnt/backups"
    assert kinds() == {"backup"}
    settings.BACKUP_REPOSITORY = ""
    monkeypatch.setattr(conditions, "free_bytes", lambda _folder: 5_000_000)
    assert [finding.detail for finding in conditions.current()] == ["5 MB are free."]
