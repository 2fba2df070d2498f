"""Files that survive a power cut."""

import os
import tempfile
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make names that were just added to `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write a small file that only its owner can read, whole or not at all. Raises OSError."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", delete=False
    ) as file:
        temporary = Path(file.name)  # mode 0600
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)
