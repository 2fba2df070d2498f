"""Read seen.json: the perceptual hashes of the photos that a release was fitted on."""

import json
from pathlib import Path

from cataract.ml.release.manifest import ReleaseCorrupt


def read_seen(folder: Path) -> list[str]:
    """The hashes, 16 hex digits each; empty when the release lists none. Raises ReleaseCorrupt when malformed."""
    path = folder / "seen.json"
    if not path.is_file():
        return []
    try:
        return [str(value) for value in json.loads(path.read_text(encoding="utf-8"))["hashes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseCorrupt(f"seen.json of {folder.name} cannot be read: {error}") from error
