"""A challenger that is worse than its base is rejected by the run that made it, or by a person, and never serves."""

from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.reporter import Reporter
from cataract.ml.release.manifest import Manifest
from predictions.releases import store
from predictions.releases.models import LiveTest, Release
from tests.factories import UserFactory
from tests.releases import make_tiny_release
from tests.training.makers import capture_published, label_photos, tiny_build
from training.runs import services, worker
from training.runs.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "It misses dense cataracts of the new camera."


@pytest.fixture(autouse=True)
def admin(champion: Release, client: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    capture_published(monkeypatch)
    client.force_login(UserFactory.create(roles=["admin"]))
    return client


@pytest.fixture
def challenger(champion: Release, tmp_path: Path) -> Release:
    return store.register_release(folder=make_tiny_release(tmp_path / "challenger", seed=3, name="challenger"))


def page_of(release: Release) -> str:
    return f"/admin/training/releasereview/{release.pk}/"


def test_an_admin_rejects_a_challenger_with_a_reason(client: Client, champion: Release, challenger: Release) -> None:
    test = LiveTest.objects.create(kind="shadow", challenger=challenger, champion=champion, photos=9, reason="Try it.")
    assert client.post(page_of(challenger) + "reject/", {"reject-reason": " "}).status_code == 422
    assert client.post(page_of(champion) + "reject/", {"reject-reason": WHY}).status_code == 422
    assert client.post(page_of(challenger) + "reject/", {"reject-reason": WHY}).status_code == 302
    challenger.refresh_from_db()
    test.refresh_from_db()
    assert (challenger.status, challenger.rejection) == ("rejected", WHY) and challenger.rejected_by is not None
    assert "was rejected" in test.end_reason
    page = client.get(page_of(challenger) + "change/").content.decode()
    assert WHY in page and 'value="Reject' not in page and 'id="promote"' not in page

    for path in ("promote", "reject"):
        answer = client.post(f"/api/v1/releases/{challenger.pk}/{path}", {"reason": "It is fine after all."})
        assert answer.status_code in (409, 422) and "rejected" in answer.json()["detail"]
    rows = client.get("/api/v1/releases").json()["results"]
    assert {row["id"]: row["rejection"] for row in rows} == {champion.pk: "", challenger.pk: WHY}


def test_by_api_once(client: Client, champion: Release, challenger: Release) -> None:
    url = f"/api/v1/releases/{challenger.pk}/reject"
    for _ in range(2):
        answer = client.post(url, {"reason": WHY}, content_type="application/json", headers={"Idempotency-Key": "once"})
        assert answer.status_code == 201 and answer.json()["status"] == "rejected"
    assert client.post(f"/api/v1/releases/{champion.pk}/reject", {"reason": WHY}).status_code == 409
    client.force_login(UserFactory.create(roles=["reader"]))
    assert client.post(url, {"reason": WHY}, content_type="application/json").status_code == 403


def test_a_run_rejects_a_release_that_is_worse_than_its_base(client: Client, champion: Release) -> None:
    """The champion was fitted on many such eyes; twenty-six photos teach less."""
    label_photos()
    run = services.start_training(user=None, kind="fast", reason="a test", parameters={"trials": 1})
    worker.run(str(run.pk))
    run.refresh_from_db()
    assert run.status == "succeeded" and run.release is not None, run.error
    assert run.release.status == "rejected"
    assert run.release.rejection.startswith("It is worse than its base on the photos of this installation")
    assert "26 clusters" in run.release.rejection and "Against its base" in run.log
    for url in (f"/admin/training/trainingrun/{run.pk}/change/", page_of(run.release) + "change/"):
        assert run.release.rejection in unescape(client.get(url).content.decode())
    with pytest.raises(CommandError, match="rejected"):
        call_command("promote", run.release.pk, "--reason", "All the same, please.", "--acknowledge-too-few")


def test_train_wait_says_that_it_was_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(folder: Path, base: Path, data: TrainingData, config: BuildConfig, reporter: Reporter) -> Manifest:
        manifest = tiny_build(folder, base, data, config, reporter)
        return replace(manifest, data={**manifest.data, "against_base": {"reason": "It is worse."}})

    label_photos()

    def work(*_: Any) -> None:
        worker.run(str(TrainingRun.objects.get().pk), build=build)

    monkeypatch.setattr("training.management.commands.train.time.sleep", work)
    with pytest.raises(CommandError, match=r"registered as rejected. It is worse\."):
        call_command("train", "--model=fast", "--wait")
