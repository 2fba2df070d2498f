"""What an engineer finds in a real MLflow server: versions, aliases, models that answer, data, figures, history."""

import base64
import csv
import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from cataract.ml.release.commit import code_commit
from predictions.releases import store
from predictions.releases.models import Release
from predictions.releases.services import reject_release
from tests.factories import ReleaseFactory, UserFactory
from tests.training.makers import capture_published, label_photos, photo_bytes, tiny_build
from tests.training.mlflow_server import ALLOWED_HOST, MLFLOW, free_port, serving
from training.promotion import services as promotion_services
from training.runs import mlflow_registry, services, worker
from training.runs.models import TrainingRun
from training.tracking import pace
from training.tracking.mlflow_client import EXPERIMENT, MODEL, connect
from training.tracking.models import RegisteredVersion
from training.tracking.spool import Spool

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]  # a busy machine starts servers slowly


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    return capture_published(monkeypatch)


@pytest.fixture
def mlflow(mlflow_server: str, settings: Any) -> Any:
    """A client of the server, on which the system records too; the registered model of an earlier test is gone."""
    settings.MLFLOW_TRACKING_URI = mlflow_server
    cache.clear()
    client = connect()
    if client.search_registered_models(f"name='{MODEL}'"):
        client.delete_registered_model(MODEL)
    return client


def sweep() -> None:
    """A sweep after the time in which MLflow is not asked again."""
    cache.clear()
    worker.sweep(publish=lambda run_id: None)


def train() -> TrainingRun:
    label_photos()
    run = services.start_training(user=None, kind="fast", reason="a test")
    worker.run(str(run.pk), build=tiny_build)
    run.refresh_from_db()
    assert run.status == "succeeded", run.log
    return run


def test_the_starter_is_a_version_with_a_run_before_anything_was_trained(
    client: Client, champion: Release, mlflow: Any
) -> None:
    sweep()
    version = mlflow.get_model_version_by_alias(MODEL, "champion")
    assert version.tags["release"] == champion.pk and version.tags["status"] == "champion"
    run = mlflow.get_run(version.run_id)
    assert run.data.tags["release"] == champion.pk and run.data.tags["model_version"] == str(version.version)
    assert "challenger" not in mlflow.get_registered_model(MODEL).aliases

    client.force_login(UserFactory.create(roles=["admin"]))
    page = client.get(f"/admin/training/releasereview/{champion.pk}/change/").content.decode()
    assert f"/#/models/{MODEL}/versions/{version.version}?workflowType=machine_learning" in page


def test_a_release_is_linked_to_its_run_its_comparison_and_its_promotions(champion: Release, mlflow: Any) -> None:
    run = train()
    sweep()
    version = mlflow.get_model_version_by_alias(MODEL, "challenger")
    assert version.tags["release"] == run.release_id and version.run_id == run.mlflow_run_id
    assert version.tags["training_run"] == str(run.pk) and version.tags["dataset"] == run.dataset_id
    assert version.tags["compared_with"] == champion.pk and version.tags["verdict"] == "too_few"

    assert run.release is not None
    promotion_services.promote(user=None, release=run.release, reason="better by a test", acknowledge_too_few=True)
    sweep()
    version = mlflow.get_model_version_by_alias(MODEL, "champion")
    assert version.run_id == run.mlflow_run_id and version.tags["replaced"] == champion.pk
    assert mlflow.get_run(run.mlflow_run_id).data.tags["promotion_reason"] == "better by a test"

    promotion_services.rollback(user=None, reason="worse at the clinic")
    sweep()
    back = mlflow.get_model_version_by_alias(MODEL, "champion")
    assert back.tags["release"] == champion.pk and back.run_id
    assert mlflow.get_model_version(MODEL, version.version).tags["status"] == "retired"
    history = json.loads(Path(mlflow.download_artifacts(run.mlflow_run_id, "history.json")).read_text())["history"]
    assert [event["what"] for event in history] == ["compared", "promoted", "rolled back"]


def test_what_is_deleted_by_hand_comes_back(champion: Release, mlflow: Any) -> None:
    run = train()
    sweep()
    newest = mlflow.get_model_version_by_alias(MODEL, "challenger")
    mlflow.delete_registered_model_alias(MODEL, "champion")
    mlflow.delete_model_version(MODEL, newest.version)
    mlflow.delete_experiment(mlflow.get_experiment_by_name(EXPERIMENT).experiment_id)
    sweep()
    assert mlflow.get_model_version_by_alias(MODEL, "champion").tags["release"] == champion.pk
    assert mlflow.get_model_version_by_alias(MODEL, "challenger").run_id == run.mlflow_run_id
    assert mlflow.get_experiment_by_name(EXPERIMENT).lifecycle_stage == "active"
    assert mlflow.get_run(run.mlflow_run_id).info.lifecycle_stage == "active"
    assert RegisteredVersion.objects.get(release=run.release).version != newest.version


def test_a_rejected_release_has_no_alias_and_says_why(champion: Release, mlflow: Any) -> None:
    run = train()
    sweep()
    newest = mlflow.get_model_version_by_alias(MODEL, "challenger")
    assert run.release is not None
    reject_release(user=None, release=run.release, reason="It misses dense cataracts.")
    sweep()
    tags = mlflow.get_model_version(MODEL, newest.version).tags
    assert (tags["status"], tags["rejection"]) == ("rejected", "It misses dense cataracts.")
    assert "challenger" not in mlflow.get_registered_model(MODEL).aliases


def test_a_model_by_its_alias_answers_photos_and_serves_them(
    champion: Release, mlflow: Any, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow as library
    import pandas as pd

    sweep()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.MLFLOW_TRACKING_URI)
    model = library.pyfunc.load_model(f"models:/{MODEL}@champion")
    clear, cloudy = photo_bytes(3, "normal"), photo_bytes(4, "cataract")
    photos = pd.DataFrame({"image": [clear, base64.b64encode(cloudy).decode(), b"no photo"]})
    answers = model.predict(photos).to_dict("records")
    assert [answer["decision"] for answer in answers] == ["normal", "cataract", "ungradable"]
    assert answers[1]["probability"] > 0.5 > answers[0]["fast_probability"] and answers[0]["release"] == champion.pk
    assert answers[2]["automatic"] is False and answers[2]["reason"] == "refused: type_unknown"
    both = model.predict(photos[:1], params={"mode": "always"}).to_dict("records")[0]
    assert both["accurate_probability"] < 0.5 and both["route"] == "fast+accurate"
    assert not list(Path(library.artifacts.download_artifacts(f"models:/{MODEL}@champion")).rglob("*.pkl"))

    port = free_port()
    serve = [MLFLOW, "models", "serve", "-m", f"models:/{MODEL}@champion", "-p", str(port), "--env-manager", "local"]
    with serving(serve, f"http://127.0.0.1:{port}/ping", tmp_path / "serve.log"):
        body = {"dataframe_split": {"columns": ["image"], "data": [[base64.b64encode(cloudy).decode()]]}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            served = json.loads(answer.read(), parse_constant=pytest.fail)["predictions"][0]  # NaN is no JSON
    assert served["decision"] == "cataract" and served["probability"] == pytest.approx(answers[1]["probability"])


def test_a_run_holds_its_data_and_figures_that_say_on_which_photos(champion: Release, mlflow: Any) -> None:
    run = train()
    recorded = mlflow.get_run(run.mlflow_run_id)
    assert run.release is not None and run.release.manifest["code_commit"] == code_commit()
    assert recorded.data.tags["git_commit"] == code_commit()
    contexts = {one.tags[0].value: one.dataset for one in recorded.inputs.dataset_inputs}
    assert set(contexts) == {"train", "calibration", "test"}
    assert json.loads(contexts["test"].profile) == {"normal": 3, "cataract": 3}
    rows = list(csv.DictReader(io.StringIO(_text(mlflow, run, "dataset/rows.csv"))))
    items = run.dataset.items.values_list("image__sha256", "answer", "split", "cluster", "weight")
    assert {tuple(row.values()) for row in rows} == {tuple(map(str, item)) for item in items} and len(rows) == 32

    figures = recorded.data.metrics
    for name in ("sensitivity", "specificity", "roc_auc", "log_loss"):
        assert name not in figures
    assert {"test_sensitivity", "test_sensitivity_low", "test_sensitivity_high", "test_sensitivity_n"} <= set(figures)
    assert figures["test_n"] == 6 and figures["cv_log_loss"] == 0.4 and figures["cv_log_loss_sd"] > 0
    assert figures["fast_validation_log_loss"] == 0.4 and "system/process_memory_megabytes" in figures

    where = f"tags.`mlflow.parentRunId` = '{run.mlflow_run_id}'"
    trials = mlflow.search_runs([run.mlflow_experiment_id], where, order_by=["metrics.cv_log_loss ASC"])
    assert [trial.data.tags["status"] for trial in trials] == ["finished", "pruned"]
    assert "cv_log_loss" not in trials[1].data.metrics and trials[1].data.metrics["pruned_log_loss"] == 0.1
    assert [point.step for point in mlflow.get_metric_history(trials[0].info.run_id, "fold_log_loss")] == [1, 2]


def test_the_sweep_leaves_the_release_of_a_running_training_to_it(champion: Release, settings: Any) -> None:
    label_photos()
    run = services.start_training(user=None, kind="fast")
    TrainingRun.objects.filter(pk=run.pk).update(status="running")
    release = ReleaseFactory.create(id="of-the-running-one", status="challenger")
    store.folder_of(release).mkdir(parents=True)
    records, aliases = mlflow_registry.wanted()
    assert [record.release for record in records] == [champion.pk] and aliases == {"champion": champion.pk}
    TrainingRun.objects.filter(pk=run.pk).update(status="succeeded", release=release)
    records, aliases = mlflow_registry.wanted()
    assert records[-1].release == aliases["challenger"] == release.pk


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_run_that_is_deleted_while_it_is_recorded_is_restored_or_recorded_again(
    champion: Release, is_gone: bool
) -> None:
    label_photos()
    run = services.start_training(user=None, kind="fast")

    def build(*args: Any) -> Any:
        recorded = Spool(str(run.pk))
        if is_gone:
            recorded._state_path.write_text(json.dumps({**recorded.state, "run": "0" * 32}))
        else:
            connect().delete_run(recorded.state["run"])
        return tiny_build(*args)

    worker.run(str(run.pk), build=build)
    run.refresh_from_db()
    found = connect().get_run(run.mlflow_run_id)
    assert (found.info.lifecycle_stage, found.info.status) == ("active", "FINISHED")
    assert found.data.params["kind"] == "fast" and found.data.tags["release"] == run.release_id


def test_an_mlflow_that_does_not_answer_is_asked_later_and_later(champion: Release, settings: Any) -> None:
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    cache.clear()
    worker.sweep(publish=lambda run_id: None)
    assert pace.is_waiting()
    assert [pace.failed() for _ in range(8)] == [30, 60, 120, 240, 480, 900, 900, 900]


def test_the_pages_open_by_the_allowed_host_names_alone(mlflow_server: str) -> None:
    """MLflow's pages ask with POST, which MLflow refuses to a page of another origin."""
    port = mlflow_server.rpartition(":")[2]
    for host, status in ((ALLOWED_HOST, 200), (f"{ALLOWED_HOST}:{port}", 200), ("other.example", 403)):
        headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
        answer = requests.post(
            f"{mlflow_server}/ajax-api/2.0/mlflow/experiments/search", headers=headers, json={"max_results": 1}
        )
        assert answer.status_code == status, host


def test_commands_record_what_they_measured_on_request(champion: Release, tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    for label in ("normal", "cataract"):
        (folder / label).mkdir(parents=True)
        for seed in range(3):
            (folder / label / f"{seed}.png").write_bytes(photo_bytes(seed, label))
    call_command("evaluate", folder, json=True, mlflow=True, stdout=io.StringIO(), stderr=(said := io.StringIO()))
    found = _runs("evaluate")
    assert f"/runs/{found.info.run_id}" in said.getvalue()
    assert found.data.tags["release"] == champion.pk and found.inputs.dataset_inputs[0].dataset.name == "clinic"
    assert {"evaluation_roc_auc", "evaluation_roc_auc_low", "evaluation_roc_auc_n"} <= set(found.data.metrics)


def test_a_benchmark_is_recorded_on_request() -> None:
    """Of the starter: a tiny release has no photos to retrain on."""
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    call_command("bench", training=True, embeddings=100, trials=1, mlflow=True, **quiet)
    found = _runs("bench")
    assert found.data.metrics["retraining_trials"] == 1 and found.data.tags["release"].startswith("starter-")


def _runs(command: str) -> Any:
    client = connect()
    (run,) = client.search_runs([client.get_experiment_by_name(f"{EXPERIMENT}-{command}").experiment_id])
    return run


def _text(mlflow: Any, run: TrainingRun, path: str) -> str:
    return Path(mlflow.download_artifacts(run.mlflow_run_id, path)).read_text()
