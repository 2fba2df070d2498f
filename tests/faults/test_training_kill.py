"""kill -9 of a training: between two epochs, and between the release's folder and its row. It resumes.

A real worker with its clock, a real broker, the starter release, both models fitted.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system import System

PREPARE = """
from predictions.releases.services import install_starter
from tests.training.makers import label_photos
from training.runs import services
install_starter()
label_photos(train=10, calibration=0, test=1)
run = services.start_training(user=None, kind="both", reason="a kill", parameters={"trials": 2, "epochs": 2})
"""
# The state while the run is interrupted; then it is resumed.
LOOK_AND_RESUME = """
import json
from django.conf import settings
from pathlib import Path
from predictions.answering.services import upload_photo
from predictions.photos.facts import PhotoFacts
from predictions.releases.models import Release
from tests.training.makers import photo_bytes
from training.runs import services
from training.runs.models import TrainingRun
photo = photo_bytes({seed}, "cataract")
prediction = upload_photo(user=None, data=photo, name="e.png", source="api", facts=PhotoFacts("P", "OD"))
prediction.refresh_from_db()
run = services.resume_run(run=TrainingRun.objects.get())
print(json.dumps({{
    "answered_by": prediction.release_id,
    "releases": list(Release.objects.values_list("pk", "status")),
    "folders": [path.name for path in Path(settings.RELEASE_DIR).iterdir() if not path.name.startswith(".")],
    "run": run.status,
}}))
"""


@pytest.fixture
def system(tmp_path: Path, migrated: Path) -> Iterator[System]:
    system = System(tmp_path, FAULT_INJECTION="1", TRAINING_SILENT_SECONDS="8", TRAINING_RESUMES="0")
    system.take_database(migrated)
    try:
        system.start_broker()
        yield system
    finally:
        system.stop()


def run_row(system: System) -> tuple[str, str, str]:
    with sqlite3.connect(system.data_dir / "db.sqlite3", timeout=20) as database:
        row: tuple[str, str, str] = database.execute("SELECT status, error, log FROM training_trainingrun").fetchone()
    return row


def train_until(system: System, status: str, failpoint: str = "") -> None:
    """Start a worker, wait for the run to come to `status`, and end the worker."""
    worker = system.start_worker(FAILPOINT=failpoint)
    system.await_true(lambda: run_row(system)[0] in (status, "failed", "cancelled"), 350, f"a run that is {status}")
    assert run_row(system)[0] == status, run_row(system)
    worker.terminate()
    worker.wait(timeout=60)


def look_and_resume(system: System, seed: int) -> dict[str, Any]:
    return dict(json.loads(system.python(LOOK_AND_RESUME.format(seed=seed)).splitlines()[-1]))


@pytest.mark.fault
@pytest.mark.timeout(1200)
def test_a_killed_training_is_interrupted_goes_on_and_is_never_half_a_release(system: System) -> None:
    system.python(PREPARE)

    train_until(system, "interrupted", failpoint="training.epoch")
    seen = look_and_resume(system, seed=501)
    (starter,) = seen["releases"]
    assert starter[1] == "champion" and seen["answered_by"] == starter[0]
    assert seen["folders"] == [starter[0]] and seen["run"] == "queued"

    train_until(system, "interrupted", failpoint="release.copied")
    seen = look_and_resume(system, seed=502)
    assert seen["releases"] == [starter] and seen["answered_by"] == starter[0]
    (made,) = set(seen["folders"]) - {starter[0]}
    refused = system.manage("promote", made, "--reason", "It lies there already.", check=False)
    assert refused.returncode != 0 and "Known releases" in refused.stderr, refused.stderr

    train_until(system, "succeeded")
    second, third = run_row(system)[2].partition("Attempt 2:")[2].split("Attempt 3:")
    assert "epoch 2 of fit 1 of" in second, "it goes on after the last epoch"
    assert "trial 1" not in second and "epoch 1 of fit 1 of" not in second, "and repeats nothing"
    assert "The last attempt finished the release" in third and "epoch" not in third
    with sqlite3.connect(system.data_dir / "db.sqlite3") as database:
        releases = dict(database.execute("SELECT id, status FROM predictions_release").fetchall())
    assert releases.pop(starter[0]) == "champion"
    assert releases in ({made: "challenger"}, {made: "rejected"}), "so few photos may teach nothing"
    assert not list((system.data_dir / "releases").glob(".building-*"))
