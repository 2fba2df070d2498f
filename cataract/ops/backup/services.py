"""Back up a whole installation while it runs, and restore it into an empty place.

A backup holds the database, photos, batches, releases, MLflow and the secret key. The database is copied first: a file
is stored before its row, so each row of the copy finds its file. What trainings cached is left out; it is computed
again.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from cataract.core.files import write_private
from cataract.ops.backup import databases
from cataract.ops.backup.repository import BackupFailed, Repository

_FOLDERS = ("photos", "batches", "releases", "mlflow/artifacts")  # below DATA_DIR
_STAGE = "backup"  # below DATA_DIR: copies of what changes while it is read
_LAST = "last.json"
_KEY = "secret.key"


@dataclass(frozen=True)
class LastBackup:
    """The last backup that was made and verified: when, its id in the repository, and how many bytes it added."""

    at: str
    snapshot: str
    added_bytes: int

    @property
    def age_hours(self) -> float:
        return (timezone.now() - datetime.fromisoformat(self.at)).total_seconds() / 3600


def configured_repository() -> Repository | None:
    """The repository of the settings; None where there is none. Raises BackupFailed when it has no password."""
    return repository_at(settings.BACKUP_REPOSITORY) if settings.BACKUP_REPOSITORY else None


def repository_at(place: str) -> Repository:
    """A repository with the password of the settings. Raises BackupFailed without one."""
    password = settings.BACKUP_PASSWORD
    if not password and settings.BACKUP_PASSWORD_FILE:
        try:
            password = Path(settings.BACKUP_PASSWORD_FILE).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BackupFailed(f"BACKUP_PASSWORD_FILE cannot be read: {error}") from None
    if not password:
        raise BackupFailed(
            "A backup holds photos of patients and is always encrypted. Set BACKUP_PASSWORD_FILE or BACKUP_PASSWORD, "
            "and keep the password in another place: without it nothing can be restored."
        )
    return Repository(place, password)


def back_up(repository: Repository, *, verify: str = "5%") -> LastBackup:
    """Make a backup, read a share of the repository again, delete old backups, and note it. Raises BackupFailed."""
    repository.make_if_missing()
    with _stage() as stage:
        facts = {"at": timezone.now().isoformat(), "database": databases.dump(stage), "migrations": _migrations()}
        _copy_mlflow(stage)
        write_private(stage / _KEY, settings.SECRET_KEY)
        write_private(stage / "facts.json", json.dumps(facts))
        folders = [name for name in _FOLDERS if (settings.DATA_DIR / name).is_dir()]
        summary = repository.store(settings.DATA_DIR, [*folders, _STAGE])
    repository.verify(share=verify)
    repository.forget(
        {
            "daily": settings.BACKUP_KEEP_DAILY,
            "weekly": settings.BACKUP_KEEP_WEEKLY,
            "monthly": settings.BACKUP_KEEP_MONTHLY,
        }
    )
    last = LastBackup(str(facts["at"]), str(summary["snapshot_id"])[:8], int(summary.get("data_added", 0)))
    _note(last)
    return last


def restore(repository: Repository, snapshot: str = "latest") -> dict[str, Any]:
    """Restore a backup into an empty installation; return its facts. Raises BackupFailed, and then nothing has changed.

    The database is read first, in one transaction: when that fails the installation is still empty, and the restore can
    be repeated. The folders that follow are renamed within DATA_DIR.
    """
    _require_empty()
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=settings.DATA_DIR) as place:
        found = Path(place)
        repository.restore(snapshot, found)
        stage = found / _STAGE
        if not (stage / "facts.json").is_file():
            raise BackupFailed("This is no backup of cataract: it holds no facts.json.")
        facts: dict[str, Any] = json.loads((stage / "facts.json").read_text(encoding="utf-8"))
        _require_known(facts["migrations"])
        _require_its_key((stage / _KEY).read_text(encoding="utf-8"))
        connections.close_all()
        databases.load(stage)
        for name in _FOLDERS:
            if (found / name).is_dir():
                (settings.DATA_DIR / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(settings.DATA_DIR / name, ignore_errors=True)
                shutil.move(found / name, settings.DATA_DIR / name)
        if (stage / "mlflow.db").is_file():
            (settings.DATA_DIR / "mlflow").mkdir(parents=True, exist_ok=True)
            shutil.move(stage / "mlflow.db", settings.DATA_DIR / "mlflow" / "mlflow.db")
    _note(LastBackup(facts["at"], snapshot, 0))
    return facts


def last_backup() -> LastBackup | None:
    """The last backup of this installation; None when there is none or its note cannot be read."""
    try:
        return LastBackup(**json.loads((settings.DATA_DIR / _STAGE / _LAST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _note(last: LastBackup) -> None:
    folder = settings.DATA_DIR / _STAGE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / _LAST, json.dumps(asdict(last)))


@contextmanager
def _stage() -> Iterator[Path]:
    """An empty folder in DATA_DIR that only we can read; what is written to it is deleted at the end."""
    folder = settings.DATA_DIR / _STAGE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _clear(folder)
    try:
        yield folder
    finally:
        _clear(folder)


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name != _LAST:
            file.unlink()


def _copy_mlflow(stage: Path) -> None:
    """The database of an embedded MLflow. A tracking server is backed up by whoever runs it."""
    uri = str(settings.MLFLOW_TRACKING_URI)
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and path.is_file():
        databases.copy_sqlite(path, stage / "mlflow.db")


def _require_empty() -> None:
    if not databases.is_empty():
        raise BackupFailed(
            "There is a database already. Restore into an empty one: a new DATA_DIR, or a new DATABASE_URL."
        )
    for name in _FOLDERS:
        folder = settings.DATA_DIR / name
        if folder.is_dir() and any(folder.iterdir()):
            raise BackupFailed(f"{folder} holds files. Restore into an empty DATA_DIR.")


def _require_its_key(key: str) -> None:
    """The key of the backup becomes the key of this installation; one from the environment must be that key."""
    path = settings.DATA_DIR / _KEY
    if "SECRET_KEY" in os.environ and os.environ["SECRET_KEY"] != key:
        raise BackupFailed(
            "SECRET_KEY is not the key of this backup: its API keys would end. Set the key of that time."
        )
    if "SECRET_KEY" not in os.environ:
        write_private(path, key)


def _migrations() -> list[str]:
    """Every migration of this version of the code."""
    return sorted(f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations)


def _require_known(migrations: list[str]) -> None:
    """A database of a newer version cannot be read by this one."""
    unknown = sorted(set(migrations) - set(_migrations()))
    if unknown:
        raise BackupFailed(
            f"A newer version made this backup: its migration {unknown[0]} is unknown here. Install that version, then "
            "restore."
        )
