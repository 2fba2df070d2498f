"""An upgrade: look before, back up, migrate, and note the version. A downgrade is refused in words."""

import shutil
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from cataract.core.errors import DomainError
from cataract.ops.backup import databases
from cataract.ops.backup.repository import BackupFailed
from cataract.ops.backup.services import back_up, configured_repository
from cataract.ops.upgrades.models import InstalledVersion
from training.runs.models import TrainingRun

_COPIES = "upgrades"  # below DATA_DIR
_KEPT = 2  # copies of the database from before upgrades
Say = Callable[[str], Any]


class UpgradeRefused(DomainError):
    """Nothing was changed; the text says why and what to do."""

    code, status = "upgrade_refused", 409


def program_version() -> str:
    """The version of this program: that of the checkout, else of the installed package."""
    project = settings.BASE_DIR / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return version("cataract")
    except PackageNotFoundError:
        return "unknown"


def bring_up_to_date(*, say: Say = print) -> None:
    """Apply what is missing to the database, after checks and a copy where it holds rows; note the version.

    Raises UpgradeRefused, also for a database of a newer version, and BackupFailed; then nothing has changed.
    """
    refuse_downgrade()
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        if _is_used(executor):
            _look(say)
            _back_up(say)
        say("Making the database ready ...")
        call_command("migrate", interactive=False, verbosity=0)
    _note(program_version())


def refuse_downgrade() -> None:
    """Raise UpgradeRefused where a newer version has changed this database: this one would misread it."""
    unknown = unknown_migrations()
    if unknown:
        newest = InstalledVersion.objects.first() if _has_versions() else None
        made_by = f"version {newest.version}" if newest else "a newer version"
        raise UpgradeRefused(
            f"This database is of {made_by}, and this program is {program_version()}: it does not know {unknown[0]}. "
            "Install that version again, or restore the backup that was made before the upgrade (docs/production.md)."
        )


def unknown_migrations() -> list[str]:
    """Migrations that the database has and this program has not, nor replaces."""
    loader = MigrationExecutor(connection).loader
    known = set(loader.disk_migrations)
    known |= {old for migration in loader.disk_migrations.values() for old in migration.replaces}
    ours = {app for app, _ in loader.disk_migrations}
    return sorted(
        f"{app}.{name}" for app, name in loader.applied_migrations if app in ours and (app, name) not in known
    )


def _is_used(executor: MigrationExecutor) -> bool:
    return bool(executor.loader.applied_migrations)


def _look(say: Say) -> None:
    """What must be well before the database changes. Raises UpgradeRefused."""
    if TrainingRun.objects.in_status(TrainingRun.Status.RUNNING).exists():
        say("A training run was running: it goes on from its checkpoint afterwards.")
    size = _database_bytes()
    free = shutil.disk_usage(settings.DATA_DIR).free
    if free < 3 * size:
        raise UpgradeRefused(
            f"An upgrade copies the database first: {3 * size / 1e9:.1f} GB must be free at {settings.DATA_DIR}, and "
            f"{free / 1e9:.1f} GB are."
        )
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            (said,) = cursor.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise UpgradeRefused(f"The database is damaged ({said}). Restore the last backup: `manage.py restore`.")


def _database_bytes() -> int:
    if connection.vendor == "sqlite":
        return Path(connection.settings_dict["NAME"]).stat().st_size
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _back_up(say: Say) -> None:
    """A backup of everything where a repository is configured; else a copy of the database in DATA_DIR."""
    repository = configured_repository()
    if repository is not None:
        say("Backing up before the upgrade ...")
        back_up(repository)
        return
    folder = settings.DATA_DIR / _COPIES / f"{timezone.now():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, mode=0o700)
    try:
        name = databases.dump(folder)
    except BackupFailed:
        shutil.rmtree(folder)
        raise
    say(f"The database as it was is in {folder / name}.")
    for old in sorted(folder.parent.iterdir())[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _note(number: str) -> None:
    newest = InstalledVersion.objects.first()
    if newest is None or newest.version != number:
        InstalledVersion.objects.create(version=number)


def _has_versions() -> bool:
    return InstalledVersion._meta.db_table in connection.introspection.table_names()
