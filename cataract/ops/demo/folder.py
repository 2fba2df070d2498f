"""The data folder of a demo: marked before anything else is written to it, and never a folder that holds anything else.

Imports no Django: the mark is set before the settings are read, because they make files in DATA_DIR.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from cataract.core.files import write_private

MARK: Final = "demo.json"  # settings.DEMO is whether DATA_DIR holds it
DEFAULT: Final = "demo-data"  # in the working directory
# A demo never reaches a real database, a real broker or people's mail boxes.
_NOT_FOR_DEMOS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "EMAIL_URL", "MLFLOW_TRACKING_URI", "BACKUP_REPOSITORY")
# Clinicians decide until labels have shown that the AI may: the queue is full, and the readers have histories.
_ENVIRONMENT = {
    "AUTO_ANSWERS": "accepted",
    "ALWAYS_READ_RATE": "0.1",
    "ALWAYS_READ_WEEKLY": "0",
    "REVIEW_SECOND_READ_RATE": "0.2",
}


class NotForDemo(Exception):
    """This folder, or this installation, is not for a demo; the message is for a person."""


def enter() -> Path:
    """Make this process one of a demo: DATA_DIR, else `demo-data`, is marked and becomes its folder. Raises NotForDemo.

    What an interrupted attempt left there is deleted.
    """
    if os.environ.get("PRODUCTION", "").lower() in ("1", "true", "yes", "on"):
        raise NotForDemo("PRODUCTION is set. A demo never runs in production: unset it.")
    folder = Path(os.environ.get("DATA_DIR") or DEFAULT).expanduser().resolve()
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and MARK not in names:
        raise NotForDemo(
            f"{folder} holds something else. A demo needs a new or an empty folder: DATA_DIR=/another/folder make demo"
        )
    if names and not read_mark(folder).get("made"):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if MARK not in names or not read_mark(folder).get("made"):
        write_mark(folder, {"made": False})
    for name in _NOT_FOR_DEMOS:
        os.environ.pop(name, None)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["DATA_DIR"] = str(folder)
    return folder


def read_mark(folder: Path) -> dict[str, Any]:
    """What stands in the mark: `made`, whether the demo is complete, and `people`, names with their passwords."""
    try:
        return dict(json.loads((folder / MARK).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def write_mark(folder: Path, content: dict[str, Any]) -> None:
    """Write the mark, readable by its owner only: it holds passwords."""
    write_private(folder / MARK, json.dumps(content, indent=1))
