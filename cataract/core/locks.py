"""One owner of a data folder: a lock that names the process that holds it.

Where no name is needed, `filelock.FileLock` is used. Here a refused start tells the user which process to stop, and
filelock neither reads the holder's id nor keeps the lock from forked children.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another process holds the lock; `pid` is what it wrote into the file."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(f"process {pid or 'unknown'} holds {path}")
        self.pid = pid or "unknown"


def take_lock(path: Path) -> IO[str]:
    """Lock `path` for this process until it closes the returned file or ends; raise AlreadyRunning when it is taken.

    A POSIX record lock: the system frees it with the process, also after kill -9, and forked children do not share it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = path.open("a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        pid = file.read().strip()
        file.close()
        raise AlreadyRunning(path, pid) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path` for a block; raise AlreadyRunning when it is taken."""
    with take_lock(path):
        yield
