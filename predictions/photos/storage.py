"""Photos on disk, addressed by the hash of their content. A stored photo survives a power cut.

Write order: temporary file in the folder `incoming`, fsync, rename, fsync of the folder; only then a row names it. A
file without a row can be deleted; a row without a file is a bug.
"""

import contextlib
import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from cataract.core.errors import StorageFull
from cataract.core.failpoints import hit
from cataract.core.files import sync_folder

_INCOMING = "incoming"  # the folder of files that are being written
_TEMPORARY = ".tmp-"
_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}


def store(data: bytes, *, suffix: str) -> tuple[str, str]:
    """Store `data` durably; return (name below PHOTO_DIR, sha256). The same content is stored once.

    Raises StorageFull when it cannot be written, and leaves nothing behind.
    """
    digest = hashlib.sha256(data).hexdigest()
    name = f"{digest[:2]}/{digest}{suffix}"  # one level: each new folder costs an upload two more fsyncs
    _write(settings.PHOTO_DIR / name, data)
    hit("upload.after_rename")
    return name, digest


def ensure(name: str, data: bytes) -> None:
    """Write the file `name` again if it is gone; `name` is what `store` returned for `data`. Raises StorageFull."""
    _write(path(name), data)


def read(name: str) -> bytes:
    """The content stored under `name`. Raises FileNotFoundError."""
    return path(name).read_bytes()


def path(name: str) -> Path:
    """The path of `name`. Raises ValueError for a name that leaves the photo folder."""
    root = Path(settings.PHOTO_DIR)
    target = root / name
    if ".." in target.relative_to(root).parts:
        raise ValueError(f"{name!r} lies outside the photo folder.")
    return target


def derivative(name: str, kind: str, make: Callable[[bytes], bytes]) -> bytes:
    """The derivative `kind` (view, thumb) of the photo `name`: made on first use, then read from the cache.

    On a full disk the derivative is served without being cached.
    """
    cached = Path(settings.PHOTO_DIR) / "derived" / f"{Path(name).with_suffix('')}-{kind}.jpg"
    if cached.exists():
        return cached.read_bytes()
    data = make(read(name))
    with contextlib.suppress(StorageFull):
        _write(cached, data)
    return data


def erase(name: str) -> None:
    """Delete the photo stored under `name` and all its derivatives, for good. Safe to repeat."""
    original = path(name)
    derived = Path(settings.PHOTO_DIR) / "derived" / Path(name).with_suffix("")
    for file in [*derived.parent.glob(f"{derived.name}-*"), original]:
        file.unlink(missing_ok=True)
        hit("purge.file_erased")
    for folder in (derived.parent, original.parent):
        if folder.exists():
            sync_folder(folder)


def sweep_temporary(*, older_than_seconds: float = 3600) -> int:
    """Delete temporary files that a crash left behind; return how many. Looks into one folder, however many photos."""
    limit = time.time() - older_than_seconds
    files = (Path(settings.PHOTO_DIR) / _INCOMING).glob(f"{_TEMPORARY}*")
    stale = [file for file in files if file.stat().st_mtime < limit]
    for file in stale:
        file.unlink(missing_ok=True)
    return len(stale)


def _write(target: Path, data: bytes) -> None:
    if target.exists() and target.stat().st_size == len(data):
        return
    temporary = Path(settings.PHOTO_DIR) / _INCOMING / f"{_TEMPORARY}{uuid.uuid4().hex}"
    try:
        _make_folder(temporary.parent)
        _make_folder(target.parent)
        _write_and_sync(temporary, data)
        hit("upload.after_fsync")
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise StorageFull from error
        raise


def _make_folder(folder: Path) -> None:
    """Make `folder`, and sync each new parent that names it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for new in missing:
        sync_folder(new.parent)


def _write_and_sync(temporary: Path, data: bytes) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view[:_CHUNK]) :]
            hit("upload.mid_write")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
