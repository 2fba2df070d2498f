"""A whole installation comes back from its backup: every row, photo, release and key, on both databases."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cataract.ops.backup.repository import BackupFailed, Repository
from tests.system import System

LIVE = """
from django.core.management import call_command
from cataract.core import tokens
from predictions.answering.services import upload_photo
from predictions.photos.facts import PhotoFacts
from tests.factories import UserFactory, jpeg_bytes
call_command("install_starter", verbosity=0)
user = UserFactory.create(username="eve", roles=["screener"])
for seed in range({first}, {first} + 3):
    upload_photo(user=user, data=jpeg_bytes(seed), name="e.jpg", source="api", facts=PhotoFacts(f"P-{{seed}}", "OD"))
print(tokens.create_token(user=user, name="k", scopes=["upload"], days=1)[1])
"""
STATE = """
import json
from cataract.core import tokens
from cataract.core.models import ApiToken
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
print(json.dumps({
    "photos": sorted(EyeImage.objects.values_list("sha256", flat=True)),
    "bytes": sum(storage.path(name).stat().st_size for name in EyeImage.objects.values_list("stored_name", flat=True)),
    "answers": sorted(map(str, Prediction.objects.values_list("pk", "decision", "release"))),
    "releases": list(Release.objects.values_list("pk", "status")),
    "key": [ApiToken.objects.filter(digest=tokens.digest(KEY)).exists() for KEY in KEYS],
}))
"""


def state(system: System, *keys: str) -> Any:
    return json.loads(system.python(f"KEYS = {list(keys)!r}\n{STATE}").splitlines()[-1])


def test_what_was_backed_up_comes_back(tmp_path: Path, migrated: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    settings = {"BACKUP_REPOSITORY": str(tmp_path / "backups"), "BACKUP_PASSWORD_FILE": str(password)}
    system = System(tmp_path / "one", **settings)
    system.take_database(migrated)
    key = system.python(LIVE.format(first=1)).splitlines()[-1]
    before = state(system, key)
    assert "It was verified" in system.manage("backup").stdout
    later = system.python(LIVE.format(first=5).replace('"eve"', '"late"')).splitlines()[-1]
    assert "It was verified" in system.manage("backup", "--verify", "100%").stdout
    snapshots = system.manage("backup", "--list").stdout.split()[::2]
    assert len(snapshots) == 2
    now = state(system, key, later)

    refused = system.manage("restore", check=False)
    assert refused.returncode and "There is a database already" in refused.stderr
    shutil.rmtree(tmp_path / "one")
    new = System(tmp_path / "two", **settings)
    assert "Restored the backup of" in new.manage("restore").stdout
    assert state(new, key, later) == now, "the newest"
    findings = json.loads(new.manage("doctor", "--json", check=False).stdout)["findings"]
    assert {found["check"] for found in findings if found["level"] != "ok"} <= {"broker", "worker"}, findings

    old = System(tmp_path / "three", **settings)
    old.manage("restore", "--snapshot", snapshots[0])
    assert state(old, key) == before, "an earlier one"
    assert not list((tmp_path / "three").glob(".restore-*"))


@pytest.mark.services
def test_the_same_on_postgresql(tmp_path: Path, postgres_url: str, postgres_server: str) -> None:
    settings = {"BACKUP_REPOSITORY": str(tmp_path / "backups"), "BACKUP_PASSWORD": "correct horse"}
    system = System(tmp_path / "one", DATABASE_URL=postgres_url, SECRET_KEY="k" * 60, **settings)
    system.manage("migrate")
    key = system.python(LIVE.format(first=1)).splitlines()[-1]
    before = state(system, key)
    system.manage("backup")
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")
        connection.execute("CREATE DATABASE restored")
    try:
        place = {"DATABASE_URL": f"{postgres_server}/restored", **settings}
        other_key = System(tmp_path / "two", SECRET_KEY="other" * 12, **place)
        refused = other_key.manage("restore", check=False)
        assert refused.returncode and "SECRET_KEY is not the key of this backup" in refused.stderr
        new = System(tmp_path / "two", SECRET_KEY="k" * 60, **place)
        new.manage("restore")
        assert state(new, key) == before and before["key"] == [True]
    finally:
        with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
            connection.execute("DROP DATABASE restored WITH (FORCE)")


def test_a_wrong_password_and_a_damaged_repository_are_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photo").write_bytes(random.Random(0).randbytes(1_000_000))
    repository = Repository(str(tmp_path / "backups"), "right")
    repository.make_if_missing()
    assert repository.store(tmp_path / "data", ["photo"])["data_added"] > 0
    assert repository.store(tmp_path / "data", ["photo"])["files_new"] == 0, "what is there is not copied again"
    with pytest.raises(BackupFailed, match=r"restic snapshots failed: .*wrong password"):
        Repository(str(tmp_path / "backups"), "wrong").snapshots()
    repository.verify(share="100%")
    for pack in (tmp_path / "backups" / "data").rglob("*"):
        if pack.is_file() and pack.stat().st_size > 1000:
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[:-500] + bytes(500))
    with pytest.raises(BackupFailed, match="restic check failed"):
        repository.verify(share="100%")


def test_a_backup_without_a_password_is_refused(tmp_path: Path) -> None:
    refused = System(tmp_path).manage("backup", str(tmp_path / "backups"), check=False)
    assert refused.returncode and "is always encrypted. Set BACKUP_PASSWORD_FILE" in refused.stderr
    assert not (tmp_path / "backups").exists()
