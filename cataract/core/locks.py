"""Two locks: of a data folder, which names the process that holds it, and of threads, in the order in which they asked.

Where no name is needed, `filelock.FileLock` is used. Here a refused start tells the user which process to stop, and
filelock neither reads the holder's id nor keeps the lock from forked children.
"""

import contextlib
import fcntl
import os
import threading
from collections import deque
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


class FairLock:
    """A lock that the threads of a process get in the order in which they asked for it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Free it, and forget who waits; for the child of a fork."""
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()  # each a gate at which one thread waits
        self._is_held = False

    def acquire(self, *, timeout: float) -> bool:
        """Wait for the lock at most `timeout` seconds; return whether the caller has it."""
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        if gate.acquire(timeout=timeout):
            return True
        with self._guard:
            if gate not in self._waiting:  # it was opened at the last moment
                return True
            self._waiting.remove(gate)
            return False

    def release(self) -> None:
        """Hand the lock to the thread that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_held = False
