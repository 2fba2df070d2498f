"""One run at a time trains each model, by the database; several where TRAINING_PARALLEL says so."""

import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from predictions.releases.models import Release
from tests.factories import UserFactory
from tests.training.makers import capture_published, label_photo, label_photos, tiny_build
from training.runs import services, worker
from training.runs.models import TrainingRun
from training.runs.reporter import RunReporter
from training.triggers import worker as triggers
from training.triggers.models import TrainingPolicy

pytestmark = pytest.mark.django_db(transaction=True)
START, RUNS = "/admin/training/trainingrun/add/", "/api/v1/training-runs"
KINDS = ("fast", "accurate", "both")
BESIDE = {("fast", "accurate"), ("accurate", "fast")}


@pytest.fixture(autouse=True)
def published(champion: Release, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    label_photos(test=1)
    return capture_published(monkeypatch)


def start(kind: str) -> TrainingRun:
    return services.start_training(user=None, kind=kind)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
def test_the_database_holds_one_active_run_a_model(first: str, second: str) -> None:
    known = start(first)
    values = {"dataset": known.dataset, "base_release": known.base_release, "kind": second}
    if (first, second) not in BESIDE:
        with pytest.raises(IntegrityError):
            TrainingRun.objects.create(**values)
        with pytest.raises(services.AlreadyRunning, match="one at a time trains each model"):
            start(second)
    else:
        start(second)
    assert TrainingRun.objects.create(**values, is_alone=False).status == "queued"


def test_the_two_models_train_side_by_side_and_the_pages_name_each_run(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    assert client.post(START, {"kind": "fast"}).status_code == 302
    assert client.post(RUNS, {"model": "accurate"}, content_type="application/json").status_code == 202
    page = client.get(START).content.decode()
    assert "fast model" in page and "accurate model" in page and "One run at a time trains each model" in page
    refused = client.post(START, {"kind": "both"})
    assert refused.status_code == 422
    said = client.post(RUNS, {"model": "both"}, content_type="application/json")
    assert (said.status_code, said.json()["code"]) == (409, "already_running")
    for name in ("accurate model, queued, 0 %", "fast model, queued, 0 %"):
        assert name in said.json()["detail"] and name in refused.content.decode()
    assert TrainingRun.objects.count() == 2


def test_runs_of_the_same_model_where_the_setting_lets_them(client: Client, settings: Any) -> None:
    settings.TRAINING_PARALLEL = True
    client.force_login(UserFactory.create(roles=["admin"]))
    for kind in ("both", "both", "fast"):
        assert client.post(START, {"kind": kind}).status_code == 302
    assert "Runs share the machine" in client.get(START).content.decode()
    settings.TRAINING_PARALLEL = False
    assert client.post(START, {"kind": "fast"}).status_code == 422, "and not a run more where it does not"


def test_of_starts_at_the_same_instant_one_a_model_wins() -> None:
    barrier = threading.Barrier(6)

    def ask(kind: str) -> str:
        barrier.wait()
        try:
            return str(start(kind).kind)
        except services.AlreadyRunning as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as people:
        said = list(people.map(ask, ["fast", "accurate"] * 3))
    assert sorted(said) == ["accurate"] + ["already_running"] * 4 + ["fast"]


def test_an_interrupted_run_is_resumed_beside_the_other_model_and_never_beside_its_own(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    lost = start("fast")
    TrainingRun.objects.filter(pk=lost.pk).update(status="interrupted")
    rival, _ = start("fast"), start("accurate")
    said = client.post(f"/admin/training/trainingrun/{lost.pk}/resume/", follow=True).content.decode()
    assert "Another training run is active (fast model, queued, 0 %)" in said
    services.cancel_run(run=rival)
    client.post(f"/admin/training/trainingrun/{lost.pk}/resume/")
    lost.refresh_from_db()
    assert lost.status == "queued"


def test_two_runs_at_work_share_nothing_that_one_could_break_for_the_other() -> None:
    fast, accurate = start("fast"), start("accurate")

    def build(*args: Any) -> Any:
        worker.run(str(accurate.pk), build=tiny_build)  # another process, in the middle of this run
        worker.sweep(publish=lambda run_id: None)
        return tiny_build(*args)

    worker.run(str(fast.pk), build=build)
    fast.refresh_from_db()
    accurate.refresh_from_db()
    assert (fast.status, fast.error) == (accurate.status, accurate.error) == ("succeeded", "")
    assert fast.mlflow_run_id != accurate.mlflow_run_id and "trial 2" in fast.log


def test_runs_share_the_memory_of_the_machine(settings: Any) -> None:
    fast, accurate = start("fast"), start("accurate")
    TrainingRun.objects.filter(pk=fast.pk).move("running")
    alone = RunReporter(fast)._memory_limit
    TrainingRun.objects.filter(pk=accurate.pk).move("running")
    assert RunReporter(accurate)._memory_limit == pytest.approx(alone / 2)
    settings.TRAINING_MAX_GIGABYTES = 2
    assert RunReporter(accurate)._memory_limit == 2e9


def test_a_trigger_waits_for_the_model_that_it_would_train_only() -> None:
    TrainingPolicy.objects.create(pk=1, is_on=True, kind="fast", every_days=1)
    rival = start("both")
    TrainingRun.objects.filter(pk=rival.pk).update(created_at=timezone.now() - timedelta(days=2))
    label_photo("normal", "train", 601)
    assert triggers.check() is None, "a run that trains both is active"
    TrainingRun.objects.filter(pk=rival.pk).update(kind="accurate")
    firing = triggers.check()
    assert firing is not None and firing.run is not None and firing.run.kind == "fast"


@pytest.mark.fault
@pytest.mark.slow
def test_both_hold_on_postgresql(postgres_url: str) -> None:
    """What the database itself refuses, in a session of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    env = {key: value for key, value in os.environ.items() if key != "DATA_DIR"} | {"DATABASE_URL": postgres_url}
    command += ["-k", "same_instant or both-accurate"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout[-3000:] + done.stderr[-2000:]
