"""One real photo travels the whole loop: real web server, real broker, real worker, seen over HTTP.

On SQLite with the embedded broker, and on PostgreSQL with Redis, by `make faults`; every run of the suite goes the same
way in `tests/browser/test_loop.py`.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from django.conf import settings
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.flows.people import Person
from tests.services import free_port
from tests.system import System

TRIALS = 4
EVERYTHING_IS_READ = {"AUDIT_RATE": "1", "REVIEW_SECOND_READ_RATE": "0", "REVIEW_AI_FIRST_RATE": "0"}


class Loop:
    """A running system, its people, and its database."""

    def __init__(self, system: System, base: str, database_url: str) -> None:
        self.system, self.base, self._database_url = system, base, database_url
        self._passwords: dict[str, str] = {}
        self.key = ""
        self.mlflow_store = system.data_dir / "mlflow" / "mlflow.db"

    def mlflow(self) -> MlflowClient:
        return MlflowClient(tracking_uri=f"sqlite:///{self.mlflow_store}")

    def set_up(self) -> None:
        """`manage.py setup`, keeping what it prints once."""
        printed = self.system.manage("setup", "--no-static").stdout
        self._passwords = dict(re.findall(r"^  (\w+) +(\S+) +\w+$", printed, re.MULTILINE))
        found = re.search(r"^  (cat_\S+)$", printed, re.MULTILINE)
        assert found, printed
        self.key = found[1]

    def choose_passwords(self) -> None:
        """Everybody signs in for the first time and chooses another password."""
        for name, printed in self._passwords.items():
            self._passwords[name] = Person(self.base, name, printed).choose_password(printed)

    def password(self, name: str) -> str:
        return self._passwords[name]

    def person(self, name: str) -> Person:
        return Person(self.base, name, self._passwords[name])

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query to the system's database, whichever it is."""
        if self._database_url:
            with psycopg.connect(self._database_url) as postgres:
                return postgres.execute(query).fetchall()
        with sqlite3.connect(self.system.data_dir / "db.sqlite3", timeout=20) as lite:
            return lite.execute(query).fetchall()

    def one(self, query: str) -> Any:
        rows = self.ask(query)
        assert len(rows) == 1, f"{query}: {rows}"
        return rows[0][0]

    def api_upload(self, photo: Path, patient: str) -> dict[str, Any]:
        with photo.open("rb") as file:
            answer = requests.post(
                f"{self.base}/api/v1/predictions",
                headers={"Authorization": f"Bearer {self.key}"},
                data={"patient": patient, "eye": "OS"},
                files={"photo": file},
                timeout=60,
            )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


EMBEDDED, SERVICES = "embedded", pytest.param("postgresql and redis", marks=pytest.mark.services)
EVERY_STORE = "EVERY_STORE" in os.environ


@pytest.fixture(params=[EMBEDDED, SERVICES] if EVERY_STORE else [EMBEDDED])
def store(request: pytest.FixtureRequest) -> str:
    """What holds the rows and the messages."""
    return str(request.param)


@pytest.fixture
def loop(request: pytest.FixtureRequest, store: str, tmp_path: Path, static_files: Path) -> Iterator[Loop]:
    """A system with every program running as `make run` and the containers run it."""
    port, database_url = free_port(), ""
    env = {"PORT": str(port), "MLFLOW_PORT": str(free_port()), "STATIC_ROOT": str(static_files), **EVERYTHING_IS_READ}
    if store != EMBEDDED:
        database_url = request.getfixturevalue("postgres_url")
        env |= {"DATABASE_URL": database_url, "REDIS_URL": request.getfixturevalue("redis_url")}
    system = System(tmp_path, **env)
    loop = Loop(system, f"http://127.0.0.1:{port}", database_url)
    try:
        loop.set_up()
        if not database_url:
            system.start_broker()
        system.start_worker()
        system.start_web(port)
        system.await_true(lambda: _answers(f"{loop.base}/api/v1/health/live"), 60, "the web server")
        loop.choose_passwords()
        yield loop
    finally:
        system.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_real_photo_travels_the_whole_loop(loop: Loop, eyes: Path, tmp_path: Path) -> None:
    first = min((eyes / "test" / "cataract").iterdir())
    starter = loop.one("SELECT id FROM predictions_release WHERE status = 'champion'")

    assert starter in upload(loop, first, patient="P-1")
    image = loop.one(
        "SELECT id FROM predictions_eyeimage WHERE patient_id = (SELECT id FROM predictions_patient WHERE key = 'P-1')"
    )
    assert loop.ask(f"SELECT status, release_id FROM predictions_prediction WHERE image_id = '{image}'") == [
        ("done", starter)
    ]

    read_blind(loop, starter)
    answer, provenance = loop.ask(f"SELECT answer, provenance FROM review_label WHERE image_id = '{image}'")[0]
    assert (answer, provenance) == ("cataract", "blind")

    import_labels(loop, eyes, tmp_path / "labelled")
    second, third = unknown_photos(loop, eyes)
    challenger = train(loop)
    assert challenger != starter
    look_into_mlflow(loop, champion=starter, challenger=challenger)

    promote(loop, challenger)
    assert challenger in upload(loop, second, patient="P-2")
    await_alias(loop, "champion", challenger)
    roll_back(loop, to=starter)
    assert loop.api_upload(third, "P-3")["release"] == starter
    assert loop.one("SELECT count(*) FROM predictions_promotion") == 3

    health = loop.system.manage("doctor", check=False)
    assert health.returncode == 0, health.stdout


def upload(loop: Loop, photo: Path, *, patient: str) -> str:
    """A screener sends a photo through the page, without JavaScript; returns the page with the answer."""
    screener = loop.person("screener")
    screener.get("/upload/")
    fields = {"patient_key": patient, "eye": "OD", "may_train": "on", "key": str(uuid.uuid4())}
    with photo.open("rb") as file:
        page = screener.post("/upload/", fields, {"photo": file})
    assert "/results/" in page.url, page.text[:3000]
    assert settings.INTENDED_USE in page.text
    # On a machine so busy that the answer takes over ten seconds, a worker finishes it.
    waiting = f"""SELECT count(*) FROM predictions_prediction p JOIN predictions_eyeimage i ON i.id = p.image_id
        JOIN predictions_patient a ON a.id = i.patient_id WHERE a.key = '{patient}' AND p.status = 'queued'"""
    loop.system.await_true(lambda: loop.one(waiting) == 0, 120, "the answer")
    return screener.get(page.url.removeprefix(loop.base)).text


def read_blind(loop: Loop, release: str) -> None:
    """Readers who have not seen the answer say cataract, until the case is resolved."""
    loop.system.await_true(lambda: loop.ask("SELECT id FROM review_reviewcase"), 120, "a review case")
    for name in ("reader", "reader2"):
        reader = loop.person(name)
        reader.get("/review/")
        page = reader.post("/review/next/", {})
        assert "/review/cases/" in page.url, page.text[:3000]
        assert release not in page.text and "Probably cataract" not in page.text
        case = page.url.removeprefix(loop.base)
        page = reader.post(case, {"step": "blind", "answer": "cataract"})
        if page.url.endswith(case) and 'value="final"' in page.text:
            reader.post(case, {"step": "final", "answer": "cataract"})
        if loop.one("SELECT status FROM review_reviewcase") == "resolved":
            return
    pytest.fail("Two readers agree, and the case is not resolved.")


def import_labels(loop: Loop, eyes: Path, folder: Path) -> None:
    """Enough labelled photos of others for a training run."""
    for split, count in (("train", 40), ("test", 12)):
        for label in ("normal", "cataract"):
            (folder / split / label).mkdir(parents=True)
            for photo in sorted((eyes / split / label).iterdir())[2 : count + 2]:
                shutil.copy(photo, folder / split / label)
    loop.system.manage("import_images", str(folder), "--labelled", "--split-from-folders", timeout=280)


def unknown_photos(loop: Loop, eyes: Path) -> list[Path]:
    """Two photos that the system does not hold; the published folders hold many twice."""
    known = {sha256 for (sha256,) in loop.ask("SELECT sha256 FROM predictions_eyeimage")}
    unknown = {hashlib.sha256(photo.read_bytes()).hexdigest(): photo for photo in sorted(eyes.glob("test/*/*"))}
    return [photo for sha256, photo in unknown.items() if sha256 not in known][-2:]


def train(loop: Loop) -> str:
    """An admin starts a run in the Django admin and watches it; the worker makes a challenger of it. Returns its id."""
    admin = loop.person("admin")
    admin.get("/admin/training/trainingrun/add/")
    form = {"kind": "both", "reason": "The first labels.", "trials": TRIALS, "epochs": 2}
    page = admin.post("/admin/training/trainingrun/add/", form)
    assert "/add/" not in page.url, page.text[:3000]
    watched: list[tuple[int, str]] = []

    def is_over() -> bool:
        """As the page does: ask for the part that changes, until it no longer asks for itself."""
        part = admin.get(page.url.removeprefix(loop.base).replace("/change/", "/part/")).text
        percent = re.search(r'<progress max="100" value="(\d+)"', part)
        assert percent, part
        watched.append((int(percent[1]), part))
        return "hx-trigger" not in part

    loop.system.await_true(is_over, 600, "the end of the training run")
    assert loop.one("SELECT status FROM training_trainingrun") == "succeeded", watched[-1][1]
    percents = [percent for percent, _ in watched]
    assert percents == sorted(percents) and percents[-1] == 100 and len(set(percents)) > 2, percents
    assert "trial 1: log loss" in watched[-1][1]
    return str(loop.one("SELECT release_id FROM training_trainingrun"))


def look_into_mlflow(loop: Loop, *, champion: str, challenger: str) -> None:
    """The run, its trials, files and release by MLflow's own client, once the sweep has delivered everything."""
    await_alias(loop, "challenger", challenger)
    await_alias(loop, "champion", champion)
    client = loop.mlflow()
    run, experiment = loop.ask("SELECT mlflow_run_id, mlflow_experiment_id FROM training_trainingrun")[0]
    parent = client.get_run(run)
    assert parent.info.status == "FINISHED" and parent.data.params["kind"] == "both"
    assert parent.data.tags["dataset"] == loop.one("SELECT dataset_id FROM training_trainingrun")
    assert parent.inputs is not None
    assert parent.inputs.dataset_inputs[0].dataset.digest == parent.data.tags["dataset"][:36]
    assert {"held_out_cascade_roc_auc", "cv_log_loss", "cv_log_loss_sd"} <= set(parent.data.metrics)
    assert [point.step for point in client.get_metric_history(run, "accurate_validation_loss")] == [1, 2]
    assert len(client.get_metric_history(run, "fast_validation_log_loss")) > 2
    trials = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run}'")
    assert len(trials) == TRIALS and all(
        {"cv_log_loss", "pruned_log_loss"} & set(trial.data.metrics) for trial in trials
    )
    files = {file.path for folder in ("", "model", "evaluation") for file in client.list_artifacts(run, folder)}
    assert {"model/MLmodel", "card.md", "evaluation/confusion.svg", "evaluation/errors.json"} <= files


def await_alias(loop: Loop, alias: str, release: str) -> None:
    """MLflow's registry follows the database with the next sweep."""

    def names_it() -> bool:
        if not loop.mlflow_store.exists():
            return False
        try:
            found = loop.mlflow().get_model_version_by_alias("cataract-cascade", alias)
        except MlflowException:  # there is no such alias yet
            return False
        return bool(found.tags["release"] == release)

    loop.system.await_true(names_it, 120, f"the alias {alias} of {release}")


def roll_back(loop: Loop, *, to: str) -> None:
    admin = loop.person("admin")
    admin.get("/admin/training/releasereview/rollback/")
    page = admin.post("/admin/training/releasereview/rollback/", {"reason": "To see the way back."})
    assert f"Release {to} serves again." in page.text, page.text[:3000]


def promote(loop: Loop, challenger: str) -> None:
    """An admin looks at every photo that would turn wrong, says why, and promotes."""
    admin = loop.person("admin")
    page = admin.get(f"/admin/training/releasereview/{challenger}/change/")
    for flip in sorted(
        set(re.findall(rf"/admin/training/releasereview/{re.escape(challenger)}/flips/[0-9a-f-]+/", page.text))
    ):
        admin.get(flip)
        admin.post(flip, {"cause": "model"})
    form = {"reason": "More photos, compared by hand.", "acknowledge_too_few": "on"}
    page = admin.post(f"/admin/training/releasereview/{challenger}/promote/", form)
    assert f"Release {challenger} serves now." in page.text, page.text[:3000]
