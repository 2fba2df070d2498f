"""A training run from the admin's button to a challenger, and what happens when it is disturbed."""

import json
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from mlflow import MlflowClient

from cataract.ml.learn.build.build import LightInstall
from predictions.releases.models import Release
from tests.factories import TrainingRunFactory, UserFactory
from tests.training.makers import capture_published, label_photos, tiny_build
from training.comparison.models import Comparison
from training.runs import services, worker
from training.runs.models import TrainingRun
from training.runs.reporter import RunReporter
from training.tracking.mlflow_client import MODEL
from training.tracking.spool import waiting

pytestmark = pytest.mark.django_db(transaction=True)
START = "/admin/training/trainingrun/add/"


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    return capture_published(monkeypatch)


@pytest.fixture
def run(champion: Release) -> TrainingRun:
    label_photos()
    return services.start_training(user=None, kind="fast", reason="a test")


def test_an_admin_starts_a_run_and_gets_a_challenger_with_its_evidence(
    client: Client, champion: Release, published: list[tuple[str, str]], settings: Any
) -> None:
    label_photos()
    client.force_login(UserFactory.create(roles=["admin"]))
    page = client.get(START)
    assert b"32 photos with a confirmed label, 32 of them new" in page.content

    sent = client.post(START, {"kind": "both", "reason": "more labels from the clinic"})
    run = TrainingRun.objects.get()
    assert sent.status_code == 302 and str(run.pk) in sent["Location"]
    assert published == [("run_training", str(run.pk))]
    queued = client.get(sent["Location"]).content.decode()
    assert "Waiting for a worker" in queued and "hx-trigger" in queued and 'http-equiv="refresh"' in queued

    worker.run(str(run.pk), build=tiny_build)
    run.refresh_from_db()
    assert (run.status, run.percent, run.error) == ("succeeded", 100, "")
    assert run.release is not None and run.release.status == "challenger"
    over = client.get(sent["Location"]).content.decode()
    assert "hx-trigger" not in over and 'http-equiv="refresh"' not in over, "a poll stops itself"
    assert run.release.pk in over
    assert "too few photos to judge" in over, Comparison.objects.get().report["reasons"]
    assert f"{settings.MLFLOW_UI_URL}/#/experiments/{run.mlflow_experiment_id}/runs/{run.mlflow_run_id}" in over
    assert not list(Path(settings.RELEASE_DIR).glob(".building-*"))


def test_mlflow_holds_the_run_its_trials_its_files_and_the_registered_model(run: TrainingRun, settings: Any) -> None:
    worker.run(str(run.pk), build=tiny_build)
    worker.sweep(publish=lambda run_id: None)
    run.refresh_from_db()
    mlflow = MlflowClient(tracking_uri=settings.MLFLOW_TRACKING_URI)
    parent = mlflow.get_run(run.mlflow_run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["kind"] == "fast"
    assert parent.data.tags["dataset"] == run.dataset_id
    assert parent.data.metrics["accurate_validation_loss"] == 0.5
    children = mlflow.search_runs([run.mlflow_experiment_id], f"tags.`mlflow.parentRunId` = '{run.mlflow_run_id}'")
    assert [child.info.run_name for child in children] == ["trial 1", "trial 0"]
    files = {file.path for file in mlflow.list_artifacts(run.mlflow_run_id)}
    assert files >= {"model", "evaluation", "dataset", "samples", "requirements.txt", "log.txt"}
    assert "model/MLmodel" in {file.path for file in mlflow.list_artifacts(run.mlflow_run_id, "model")}
    assert mlflow.get_model_version_by_alias(MODEL, "challenger").tags["release"] == run.release_id
    assert mlflow.get_model_version_by_alias(MODEL, "champion").tags["release"] == run.base_release_id
    assert waiting() == []


def test_a_training_goes_on_without_mlflow_and_its_story_is_delivered_later(run: TrainingRun, settings: Any) -> None:
    there = settings.MLFLOW_TRACKING_URI
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    worker.run(str(run.pk), build=tiny_build)
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert "MLflow does not answer" in run.log and run.mlflow_run_id == ""
    assert waiting() == [str(run.pk)]

    settings.MLFLOW_TRACKING_URI = there
    worker.sweep(publish=lambda run_id: None)
    run.refresh_from_db()
    assert waiting() == []
    assert MlflowClient(tracking_uri=there).get_run(run.mlflow_run_id).info.status == "FINISHED"


def test_a_training_goes_on_beside_an_mlflow_that_takes_calls_and_never_answers(
    run: TrainingRun, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings.MLFLOW_TRACKING_URI = f"http://127.0.0.1:{silent.getsockname()[1]}"
        worker.run(str(run.pk), build=tiny_build)
        run.refresh_from_db()
        assert run.status == "succeeded" and "MLflow does not answer" in run.log
        worker.sweep(publish=lambda run_id: None)
        assert waiting() == [str(run.pk)], "the story waits for a better day"


def test_one_run_at_a_time(run: TrainingRun, client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    answer = client.post(START, {"kind": "fast", "reason": ""})
    assert answer.status_code == 422
    assert b"Another training run is active" in answer.content
    assert TrainingRun.objects.count() == 1


def test_a_run_delivered_twice_runs_once(run: TrainingRun) -> None:
    calls: list[int] = []

    def build(*args: Any) -> Any:
        calls.append(1)
        worker.run(str(run.pk), build=build)  # a second delivery while the first works
        return tiny_build(*args)

    worker.run(str(run.pk), build=build)
    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert (len(calls), run.status, run.attempts) == (1, "succeeded", 1)


def test_a_queued_run_is_cancelled_at_once_and_never_runs(run: TrainingRun, client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    client.post(f"/admin/training/trainingrun/{run.pk}/cancel/")
    worker.run(str(run.pk), build=tiny_build)
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("cancelled", 0)


def test_a_running_run_stops_when_a_person_cancels_it(run: TrainingRun, settings: Any) -> None:
    settings.TRAINING_SILENT_SECONDS = 0.4

    def build(*args: Any) -> Any:
        services.cancel_run(run=run)
        deadline = timezone.now() + timedelta(seconds=20)
        while not args[-1].should_stop():
            assert timezone.now() < deadline, "the wish to cancel never arrived"
        raise RuntimeError("stopped")

    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert (run.status, run.release) == ("cancelled", None)
    assert "Cancelled." in run.log


def test_a_step_that_does_not_ask_holds_no_cancel_up(run: TrainingRun, settings: Any) -> None:
    assert settings.TRAINING_SILENT_SECONDS * (1 / 8 + 1 / 20) < 10, "what the docs promise of the settings' own values"
    settings.TRAINING_SILENT_SECONDS = 0.4

    def build(*args: Any) -> Any:
        services.cancel_run(run=run)
        deadline = timezone.now() + timedelta(seconds=20)
        while run.status != "cancelled":  # and never asks
            assert timezone.now() < deadline, "the row waited for the work"
            run.refresh_from_db()
        return tiny_build(*args)

    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert (run.status, run.release, Release.objects.count()) == ("cancelled", None, 1)
    assert run.finished_at is not None and "Cancelled." in run.log
    worker.sweep(publish=lambda run_id: None)
    assert waiting() == []
    run.refresh_from_db()
    assert MlflowClient(settings.MLFLOW_TRACKING_URI).get_run(run.mlflow_run_id).info.status == "KILLED"


def test_a_failed_build_says_why_and_leaves_no_release(run: TrainingRun, client: Client, settings: Any) -> None:
    def build(folder: Path, *args: Any) -> Any:
        (folder / "trunk.onnx").write_bytes(b"half")
        raise ValueError("The training split needs labelled photos of both classes.")

    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert (run.status, run.error) == ("failed", "The training split needs labelled photos of both classes.")
    assert Release.objects.count() == 1
    assert not list(Path(settings.RELEASE_DIR).glob(".building-*"))
    client.force_login(UserFactory.create(roles=["auditor"]))
    assert run.error in client.get(f"/admin/training/trainingrun/{run.pk}/change/").content.decode()


def test_a_half_written_release_is_never_registered(run: TrainingRun) -> None:
    def build(folder: Path, *args: Any) -> Any:
        manifest = tiny_build(folder, *args)
        (folder / "fast.txt").write_bytes(b"tree\n")
        return manifest

    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert run.status == "failed" and "fast.txt" in run.error
    assert Release.objects.count() == 1


def test_a_run_resumes_by_itself_until_it_has_lost_several_workers(run: TrainingRun, settings: Any) -> None:
    """As after a restart of the system: nobody presses Resume."""
    asked: list[str] = []

    def killed(*args: Any) -> Any:
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=41))
        raise SystemExit

    for attempt in range(1, 5):
        with pytest.raises(SystemExit):
            worker.run(str(run.pk), build=killed)
        TrainingRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=5))
        asked.clear()
        worker.sweep(publish=asked.append)
        run.refresh_from_db()
        assert run.attempts == attempt
        assert (run.status, asked) == (("queued", [str(run.pk)]) if attempt < 4 else ("interrupted", []))


def test_a_lost_run_waits_where_another_one_trains_its_model(run: TrainingRun) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(status="interrupted", attempts=1)
    TrainingRunFactory.create(kind="fast", status="queued")
    worker.sweep(publish=lambda run_id: None)
    run.refresh_from_db()
    assert run.status == "interrupted"


def test_a_silent_run_is_interrupted_and_resumed_and_the_zombie_writes_nothing(
    run: TrainingRun, client: Client, published: list[tuple[str, str]], settings: Any
) -> None:
    settings.TRAINING_RESUMES = 0

    def killed(*args: Any) -> Any:
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=41))
        worker.sweep(publish=lambda run_id: None)
        raise SystemExit  # like a worker that dies: nothing is caught, nothing is written

    with pytest.raises(SystemExit):
        worker.run(str(run.pk), build=killed)
    run.refresh_from_db()
    assert run.status == "interrupted"
    zombie = RunReporter(run)

    client.force_login(UserFactory.create(roles=["admin"]))
    page = client.get(f"/admin/training/trainingrun/{run.pk}/change/").content.decode()
    assert "Resume" in page and "The champion keeps serving" in page
    client.post(f"/admin/training/trainingrun/{run.pk}/resume/")
    assert published[-1] == ("run_training", str(run.pk))
    worker.run(str(run.pk), build=tiny_build)
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("succeeded", 2)
    zombie.beat()
    assert zombie.should_stop()


def test_a_worker_that_was_only_taken_for_dead_finds_its_folder_gone(run: TrainingRun) -> None:
    def slow(folder: Path, *args: Any) -> Any:
        TrainingRun.objects.filter(pk=run.pk).move("interrupted")
        services.resume_run(run=run)
        worker.run(str(run.pk), build=tiny_build)  # another worker, while this one sleeps
        (folder / "fast.txt").write_text("late")

    worker.run(str(run.pk), build=slow)
    run.refresh_from_db()
    assert (run.status, run.attempts, run.error) == ("succeeded", 2, "")
    assert Release.objects.count() == 2


def test_a_run_over_its_limits_is_stopped_with_the_reason(run: TrainingRun, settings: Any) -> None:
    def build(*args: Any) -> Any:
        assert args[-1].should_stop()
        raise RuntimeError("stopped")

    settings.TRAINING_MAX_HOURS = 0
    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert run.status == "failed" and "longer than 0 hours" in run.error

    settings.TRAINING_MAX_HOURS, settings.TRAINING_MAX_GIGABYTES = 5, 0.01
    second = services.start_training(user=None, kind="fast")
    worker.run(str(second.pk), build=build)
    second.refresh_from_db()
    assert second.status == "failed" and "more than the 0.0 GB allowed" in second.error


def test_a_run_that_nobody_took_is_published_again(run: TrainingRun) -> None:
    told: list[str] = []
    worker.sweep(publish=told.append)
    assert told == []
    TrainingRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=31))
    worker.sweep(publish=told.append)
    assert told == [str(run.pk)]


def test_the_same_release_made_twice_is_one_release(run: TrainingRun) -> None:
    worker.run(str(run.pk), build=tiny_build)
    again = services.start_training(user=None, kind="fast")
    assert again.dataset_id == run.dataset_id
    worker.run(str(again.pk), build=tiny_build)
    again.refresh_from_db()
    run.refresh_from_db()
    assert (again.status, again.release_id) == ("succeeded", run.release_id)


def test_a_light_installation_says_how_to_add_the_training_set(
    client: Client, champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_photos()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    client.force_login(UserFactory.create(roles=["admin"]))
    answer = client.post(START, {"kind": "both"})
    assert answer.status_code == 422 and b"make install" in answer.content
    assert client.post(START, {"kind": "fast"}).status_code == 302


def test_a_worker_without_torch_says_in_the_run_how_to_add_the_training_set(run: TrainingRun) -> None:
    def build(*args: Any) -> Any:
        raise LightInstall("torch is not installed.")

    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    assert run.status == "failed" and "torch is not installed. Add the training set with `make install`" in run.error


def test_without_labels_or_without_a_champion_the_page_says_what_is_missing(client: Client, champion: Release) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    answer = client.post(START, {"kind": "fast"})
    assert answer.status_code == 422 and b"cataract in the training split: 0" in answer.content
    Release.objects.filter(pk=champion.pk).update(status="retired")
    assert b"There is no champion to start from" in client.post(START, {"kind": "fast"}).content
    assert not TrainingRun.objects.exists()


def test_a_run_that_is_not_there_is_a_404(client: Client) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    assert client.get("/admin/training/trainingrun/nothing/change/").status_code == 404
    assert client.get("/admin/training/releasereview/nothing/change/").status_code == 404


@pytest.mark.parametrize("role", ["screener", "reader", "auditor", "integrator"])
def test_nobody_but_an_admin_starts_or_stops_a_run(client: Client, run: TrainingRun, role: str) -> None:
    client.force_login(UserFactory.create(roles=[role]))
    for path in (
        START,
        f"/admin/training/trainingrun/{run.pk}/cancel/",
        f"/admin/training/trainingrun/{run.pk}/resume/",
    ):
        assert client.post(path, {"kind": "fast"}).status_code in (302, 403)
    run.refresh_from_db()
    assert run.status == "queued" and TrainingRun.objects.count() == 1


def test_a_process_starts_without_the_slow_libraries() -> None:
    import subprocess
    import sys

    slow = (
        "lightgbm",
        "matplotlib",
        "mlflow",
        "onnxruntime",
        "open_clip",
        "optuna",
        "pandas",
        "scipy",
        "sklearn",
        "torch",
    )
    code = f"import django, sys; django.setup(); import cataract.urls; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"')) == []
