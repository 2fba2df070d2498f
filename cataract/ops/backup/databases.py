"""The database as one file, and back: by SQLite's own backup, by pg_dump and pg_restore. Neither stops the system."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from django.db import connection

from cataract.ops.backup.repository import BackupFailed

_SQLITE, _POSTGRESQL = "db.sqlite3", "db.dump"


def dump(folder: Path) -> str:
    """Write the database, as it is at one moment, to a file in `folder`; return its name. Raises BackupFailed."""
    if connection.vendor == "sqlite":
        copy_sqlite(Path(connection.settings_dict["NAME"]), folder / _SQLITE)
        return _SQLITE
    _postgresql("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={folder / _POSTGRESQL}")
    return _POSTGRESQL


def load(folder: Path) -> None:
    """Read the file that `dump` wrote into an empty database of the same kind. Raises BackupFailed."""
    if connection.vendor == "sqlite":
        if not (folder / _SQLITE).is_file():
            raise BackupFailed("This backup is of PostgreSQL. Set DATABASE_URL to an empty database of it.")
        shutil.move(folder / _SQLITE, connection.settings_dict["NAME"])
        return
    if not (folder / _POSTGRESQL).is_file():
        raise BackupFailed("This backup is of SQLite. Restore it without DATABASE_URL.")
    name = f"--dbname={connection.settings_dict['NAME']}"
    _postgresql("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", name, str(folder / _POSTGRESQL))


def is_empty() -> bool:
    """Whether the database holds no table: only such a one is restored into."""
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        return not path.exists() or path.stat().st_size == 0
    return not connection.introspection.table_names()


def copy_sqlite(source: Path, target: Path) -> None:
    """A whole copy of an SQLite database in use, with its write-ahead log. Raises BackupFailed when it is damaged."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(target)) as out,
    ):
        reader.backup(out)
        (said,) = out.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise BackupFailed(f"{source.name} is damaged ({said}). Restore the last backup: `manage.py restore`.")


def _postgresql(program: str, *words: str) -> None:
    """Run a program of PostgreSQL on the configured database; the password is in its environment, not in its argv."""
    found = shutil.which(program)
    if found is None:
        raise BackupFailed(f"{program} is not installed (Debian: apt install postgresql-client).")
    values = connection.settings_dict
    environment = {
        **os.environ,
        "PGHOST": str(values["HOST"]),
        "PGPORT": str(values["PORT"] or 5432),
        "PGUSER": str(values["USER"]),
        "PGDATABASE": str(values["NAME"]),
        "PGPASSWORD": str(values["PASSWORD"]),
    }
    done = subprocess.run([found, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupFailed(f"{program} failed: {done.stderr.strip()[-500:]}")
