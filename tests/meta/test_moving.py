"""Moves: a moved data folder, an MLflow of another version, and SQLite to PostgreSQL."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.system import System
from training.tracking import mlflow_client, store

COUNTED = ("predictions_prediction", "predictions_eyeimage", "review_reviewcase", "cataract_auditentry")
# In a process of its own: MLflow remembers where the artefacts of a run lie.
AFTER_MOVE = """
import json, tempfile
from pathlib import Path
from training.tracking import mlflow_client
client = mlflow_client.connect()
client.log_text("{run}", "later", "more.txt")
names, to = ("note.txt", "more.txt"), tempfile.mkdtemp()
read = [Path(client.download_artifacts("{run}", name, to)).read_text() for name in names]
place = client.get_experiment_by_name("cataract").artifact_location
print(json.dumps([*read, place, client.get_model_version(mlflow_client.MODEL, "1").source.startswith(place)]))
"""
LIVE = """
import io
from django.contrib.auth.models import User
from PIL import Image
from cataract.core import tokens
from cataract.ml.synthetic import render_eye
from cataract.roles import ensure_roles
from predictions.answering.services import upload_photo
from predictions.photos.facts import PhotoFacts
from review.queue.opening import open_cases
ensure_roles()
user = User.objects.create_user("screener")
for seed in (1, 2):
    file = io.BytesIO()
    Image.fromarray(render_eye(seed, opacity=0.9)).save(file, "JPEG")
    upload_photo(data=file.getvalue(), user=user, source="upload", facts=PhotoFacts(patient_key=f"P-{seed}", eye="OD"))
open_cases()
print(tokens.create_token(user=user, name="key", scopes=["read"], days=9)[1])
"""


@pytest.fixture
def finished_run(tmp_path: Path, settings: Any) -> Iterator[tuple[Path, str]]:
    """A data folder whose MLflow holds a finished run with an artefact; and the id of the run."""
    folder = tmp_path / "old place"
    _use(settings, folder)
    client = mlflow_client.connect()
    experiment = mlflow_client.experiment(client)
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "seen", "note.txt")
    client.set_terminated(run)
    client.create_registered_model(mlflow_client.MODEL)
    client.create_model_version(mlflow_client.MODEL, f"{client.get_run(run).info.artifact_uri}/model", run_id=run)
    yield folder, run


def _use(settings: Any, folder: Path) -> None:
    settings.DATA_DIR = folder
    settings.MLFLOW_ARTIFACT_DIR = folder / "mlflow" / "artifacts"
    settings.MLFLOW_TRACKING_URI = f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}"


def test_the_record_follows_a_moved_data_folder(finished_run: tuple[Path, str], tmp_path: Path, settings: Any) -> None:
    old, run = finished_run
    spool = old / "mlflow" / "spool" / "waiting.jsonl"
    spool.parent.mkdir()
    spool.write_text(f'{{"do": "artifact", "path": "{old}/mlflow/spool/waiting-files/rows.csv"}}\n')
    new = tmp_path / "new place"
    shutil.move(old, new)
    _use(settings, new)

    after = System(new).python(AFTER_MOVE.format(run=run)).splitlines()[-1]

    assert json.loads(after) == ["seen", "later", settings.MLFLOW_ARTIFACT_DIR.as_uri(), True]
    assert not old.exists(), "nothing is written to the old place"
    assert f"{new}/mlflow/spool/waiting-files/rows.csv" in (new / "mlflow/spool/waiting.jsonl").read_text()
    assert store.follow_move(new / "mlflow" / "mlflow.db") is False, "a second look has nothing to do"


def test_a_newer_mlflow_is_said_and_nothing_is_changed(finished_run: tuple[Path, str]) -> None:
    path = finished_run[0] / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(store.StoreIsNewer, match="Install the version of this program"):
        store.bring_up_to_date(path)
    assert store.schema_of(path) == "ffffffffffff"


def test_older_tables_are_changed_after_a_copy(finished_run: tuple[Path, str]) -> None:
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    path = finished_run[0] / "mlflow" / "mlflow.db"
    script = ScriptDirectory.from_config(utils._get_alembic_config("sqlite://"))  # type: ignore[no-untyped-call]
    head = script.get_revision("head")
    with closing(sqlite3.connect(path)) as database, database:
        before = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    config = utils._get_alembic_config(f"sqlite:///{path}")  # type: ignore[no-untyped-call]
    from alembic import command

    command.downgrade(config, str(head.down_revision))
    assert store.schema_of(path) == head.down_revision

    assert store.upgrade(path) is True

    assert store.schema_of(path) == head.revision
    with closing(sqlite3.connect(path)) as database:
        after = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert after == before and len(list(path.parent.glob("mlflow.db.before-*"))) == 1


@pytest.mark.services
@pytest.mark.timeout(600)
def test_an_installation_moves_to_postgresql_row_by_row(tmp_path: Path, postgres_url: str, migrated: Path) -> None:
    lite = System(tmp_path / "data")
    lite.take_database(migrated)
    lite.python("from predictions.releases.services import install_starter; install_starter()")
    key = lite.python(LIVE).splitlines()[-1]
    with closing(sqlite3.connect(tmp_path / "data" / "db.sqlite3")) as database:
        before = [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED]

    done = lite.manage("to_postgresql", postgres_url)
    assert "Every row was compared." in done.stdout

    moved = System(tmp_path / "data", DATABASE_URL=postgres_url)
    with psycopg.connect(postgres_url) as database:
        rows = [database.execute(f"SELECT count(*) FROM {table}").fetchone() for table in COUNTED]
        assert rows == [(count,) for count in before]
        with pytest.raises(psycopg.errors.CheckViolation):
            database.execute("DELETE FROM predictions_prediction")
    check = f"""
from cataract.core import tokens
from cataract.core.models import ApiToken
from django.contrib.auth.models import User, Group
print(ApiToken.objects.filter(digest=tokens.digest({key!r})).exists())
print(Group.objects.create(name="next").pk > 1, User.objects.create_user("next").pk > 1)
"""
    assert moved.python(check).splitlines() == ["True", "True True"], "keys live, and numbers go on"
    findings = moved.manage("doctor", check=False).stdout
    assert "photos are intact" in findings and "The record is kept" in findings, findings

    again = lite.manage("to_postgresql", postgres_url, check=False)
    assert again.returncode and "holds tables" in again.stderr
