"""Photos on disk or in an object store, addressed by the hash of their content. A stored photo survives a power cut.

Write order on disk: temporary file in the folder `incoming`, fsync, rename, fsync of the folder; only then a row names
it. A file without a row can be deleted; a row without a file is a bug. With an object store (`cataract.core.shared`)
nothing of a photo stays on this host, except the copies that a training reads.
"""

import contextlib
import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.conf import settings

from cataract.core import shared
from cataract.core.errors import StorageFull
from cataract.core.failpoints import hit
from cataract.core.files import sync_folder

_INCOMING = "incoming"  # the folder of files that are being written
_TEMPORARY = ".tmp-"
_CHUNK = 1 << 20
_OBJECTS = "photos/"  # what the names of their objects begin with
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}


def store(data: bytes, *, suffix: str) -> tuple[str, str]:
    """Store `data` durably; return (name below PHOTO_DIR, sha256). The same content is stored once.

    Raises StorageFull when it cannot be written, and leaves nothing behind.
    """
    digest = hashlib.sha256(data).hexdigest()
    name = f"{digest[:2]}/{digest}{suffix}"  # one level: each new folder costs an upload two more fsyncs
    ensure(name, data)
    hit("upload.after_rename")
    return name, digest


def ensure(name: str, data: bytes) -> None:
    """Write the file `name` again if it is gone; `name` is what `store` returned for `data`. Raises StorageFull."""
    if not shared.is_on():
        _write(path(name), data)
    elif not shared.exists(_object(name)):
        shared.write(_object(name), data)


def read(name: str) -> bytes:
    """The content stored under `name`. Raises FileNotFoundError, StorageUnavailable."""
    return shared.read(_object(name)) if shared.is_on() else path(name).read_bytes()


def path(name: str) -> Path:
    """The path of `name`, where photos lie in a folder. Raises ValueError for a name that leaves it."""
    root = Path(settings.PHOTO_DIR)
    target = root / name
    if ".." in target.relative_to(root).parts:
        raise ValueError(f"{name!r} lies outside the photo folder.")
    return target


def local_paths(names: Sequence[str]) -> list[Path]:
    """The files of these photos on this host, for what reads thousands of them from paths.

    With an object store they are copies. Those that no training asked for within TRAINING_MAX_HOURS are deleted first,
    so what was purged goes then. One that is missing has a path without a file.
    """
    if not shared.is_on():
        return [path(name) for name in names]
    root = Path(settings.DATA_DIR) / "copies"
    limit = time.time() - settings.TRAINING_MAX_HOURS * 3600
    for old in [file for file in root.glob("*/*") if file.stat().st_mtime < limit]:
        old.unlink(missing_ok=True)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda name: _copy(name, root / name), names))


def all_names() -> Iterator[str]:
    """The names of all stored files, derivatives included, whether a row names them or not."""
    if shared.is_on():
        yield from (name.removeprefix(_OBJECTS) for name in shared.names(_OBJECTS.rstrip("/")))
        return
    root = Path(settings.PHOTO_DIR)
    yield from (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())


def seconds_since_change(name: str) -> float:
    """How old the file `name` is. Raises FileNotFoundError."""
    if shared.is_on():
        return shared.seconds_since_change(_object(name), time.time())
    return time.time() - path(name).stat().st_mtime


def place() -> str:
    """Where photos lie, for people."""
    return f"the bucket {settings.S3_BUCKET}" if shared.is_on() else str(settings.PHOTO_DIR)


def derivative(name: str, kind: str, make: Callable[[bytes], bytes]) -> bytes:
    """The derivative `kind` (view, thumb) of the photo `name`: made on first use, then read from the cache.

    On a full disk the derivative is served without being cached.
    """
    cached = f"derived/{Path(name).with_suffix('')}-{kind}.jpg"
    with contextlib.suppress(FileNotFoundError):
        return read(cached)
    data = make(read(name))
    with contextlib.suppress(StorageFull):
        ensure(cached, data)
    return data


def erase(name: str) -> None:
    """Delete the photo stored under `name` and all its derivatives, for good. Safe to repeat."""
    if shared.is_on():
        _erase_objects(name)
        return
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


def _erase_objects(name: str) -> None:
    stem = f"{_OBJECTS}derived/{Path(name).with_suffix('')}"
    for each in [*(n for n in shared.names(stem.rpartition("/")[0]) if n.startswith(f"{stem}-")), _object(name)]:
        shared.delete(each)
        hit("purge.file_erased")
    (Path(settings.DATA_DIR) / "copies" / name).unlink(missing_ok=True)


def _copy(name: str, target: Path) -> Path:
    with contextlib.suppress(FileNotFoundError):
        if target.exists():
            target.touch()  # it is in use again
        else:
            shared.fetch(_object(name), target)
    return target


def _object(name: str) -> str:
    """The name of a photo's object. Raises ValueError for a name that leaves the folder of photos."""
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise ValueError(f"{name!r} lies outside the folder of photos.")
    return f"{_OBJECTS}{name}"


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
