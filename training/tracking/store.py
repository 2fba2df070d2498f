"""The embedded store of MLflow as a file: its locations follow a moved data folder, its tables an installed MLflow."""

import json
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings

_log = logging.getLogger(__name__)

# Every column of MLflow that holds the address of a file.
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


class StoreIsNewer(Exception):
    """A newer MLflow made the tables of this store; the message is for a person."""


def store_path() -> Path | None:
    """The file of the embedded store; None where the record is kept elsewhere, and where there is none yet."""
    uri = str(settings.MLFLOW_TRACKING_URI)
    path = Path(uri.removeprefix("sqlite:///"))
    return path if uri.startswith("sqlite:///") and path.is_file() and path.stat().st_size else None


def bring_up_to_date(path: Path) -> None:
    """Let the store's locations and tables fit where it lies and which MLflow is installed. Cheap when they do.

    Call it while no other process opens the store. Tables are changed after a copy was made beside the file. Raises
    StoreIsNewer, and what MLflow raises.
    """
    follow_move(path)
    upgrade(path)


def follow_move(path: Path) -> bool:
    """Point every location in the store below the artefacts of this data folder; whether the folder had moved.

    Our experiments were made with the folder of that time as their location: it tells what to replace. So do the paths
    of events that wait to be delivered.
    """
    here = settings.MLFLOW_ARTIFACT_DIR.resolve().as_uri()
    with closing(sqlite3.connect(path, timeout=20)) as store, store:
        known = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in known:
            return False
        query = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file://%/artifacts'"
        elsewhere = [place for (place,) in store.execute(query) if place != here]
        for place in elsewhere:
            for table, column in _LOCATIONS:
                if table in known:
                    store.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR {column} LIKE ?",
                        (here, len(place) + 1, place, f"{_escaped(place)}/%"),
                    )
    for place in elsewhere:
        _log.warning("The data folder has moved: MLflow's locations at %s are now at %s.", place, here)
        _move_waiting(Path(unquote(urlsplit(place).path)).parent.parent)
    return bool(elsewhere)


def _escaped(text: str) -> str:
    """A text of which LIKE takes every character as it is, but `_`, which also matches itself."""
    return text.replace("%", "_")


def _move_waiting(old: Path) -> None:
    """The paths in events that wait to be delivered: they lay below the `old` data folder."""
    for spool in (settings.DATA_DIR / "mlflow" / "spool").glob("*.jsonl"):
        text = spool.read_text(encoding="utf-8")
        moved = text.replace(json.dumps(f"{old}/")[1:-1], json.dumps(f"{settings.DATA_DIR}/")[1:-1])
        if moved != text:
            spool.write_text(moved, encoding="utf-8")


def upgrade(path: Path) -> bool:
    """Change the tables to those of the installed MLflow, after a copy; whether it was needed. Raises StoreIsNewer."""
    found, wanted = schema_of(path), wanted_schema()
    if found in ("", wanted):
        return False
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    require_known(found)
    copy = path.with_name(f"{path.name}.before-{wanted[:12]}")
    _log.warning("MLflow's tables are of another version: they are changed now, after a copy to %s.", copy.name)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    engine = create_engine(f"sqlite:///{path}")
    try:
        utils._upgrade_db(engine)  # type: ignore[no-untyped-call]
    except Exception:
        engine.dispose()
        shutil.copyfile(copy, path)
        raise
    engine.dispose()
    return True


def schema_of(path: Path) -> str:
    """The revision of the store's tables; empty for a store without tables."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as store:
        try:
            row = store.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return ""
    return str(row[0]) if row else ""


def wanted_schema() -> str:
    """The revision of the tables of the installed MLflow."""
    from mlflow.store.db import utils

    return str(utils._get_latest_schema_revision())  # type: ignore[no-untyped-call]


def require_known(revision: str) -> None:
    """Raise StoreIsNewer unless the installed MLflow knows this revision."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db import utils

    script = ScriptDirectory.from_config(utils._get_alembic_config("sqlite://"))  # type: ignore[no-untyped-call]
    try:
        script.get_revision(revision)
    except CommandError:
        raise StoreIsNewer(
            f"A newer MLflow made the tables of this record (revision {revision}). Install the version of this program "
            "that made them, or restore the backup that was made before the upgrade."
        ) from None
