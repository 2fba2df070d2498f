"""Files that all hosts share in an object store, by Django's storage API. Off where S3_BUCKET is empty: folders then.

An object appears whole or not at all, and is durable once it is written, so the order of a folder holds here too: first
the object, then the row that names it. Whatever the store answers, callers see FileNotFoundError or StorageUnavailable.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages

from cataract.core.errors import StorageUnavailable
from cataract.core.files import sync_folder

log = logging.getLogger(__name__)


def is_on() -> bool:
    """Whether hosts share an object store instead of folders."""
    return "shared" in settings.STORAGES


def write(name: str, data: bytes) -> None:
    """Store `data` as `name`, replacing what is there. Raises StorageUnavailable; then nothing has changed."""
    with _translated():
        _store().save(name, ContentFile(data))


def send(name: str, path: Path) -> None:
    """Store a local file as `name`. Raises StorageUnavailable."""
    with path.open("rb") as file, _translated():
        _store().save(name, File(file))


def exists(name: str) -> bool:
    with _translated():
        return bool(_store().exists(name))


def read(name: str) -> bytes:
    """The content of `name`. Raises FileNotFoundError, StorageUnavailable."""
    with _translated(), _store().open(name) as file:
        return bytes(file.read())


def fetch(name: str, target: Path) -> None:
    """A local copy of `name` at `target`, whole or not at all. Raises FileNotFoundError, StorageUnavailable."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".tmp-", delete=False) as copy:
        try:
            with _translated(), _store().open(name) as file:
                for chunk in file.chunks():
                    copy.write(chunk)
            copy.flush()
            Path(copy.name).rename(target)
        except BaseException:
            Path(copy.name).unlink(missing_ok=True)
            raise
    sync_folder(target.parent)


def delete(name: str) -> None:
    """Delete `name`; nothing happens where it is gone already. Raises StorageUnavailable."""
    with _translated():
        _store().delete(name)


def names(folder: str) -> Iterator[str]:
    """All names below `folder`, which ends without a slash. Raises StorageUnavailable."""
    with _translated():
        folders, files = _store().listdir(folder)
    yield from (f"{folder}/{name}" for name in sorted(files) if name)
    for name in sorted(folders):
        yield from names(f"{folder}/{name}")


def delete_folder(folder: str) -> None:
    """Delete all that lies below `folder`. Raises StorageUnavailable."""
    for name in list(names(folder)):
        delete(name)


def seconds_since_change(name: str, now: float) -> float:
    """How old `name` is. Raises FileNotFoundError, StorageUnavailable."""
    with _translated():
        return now - _store().get_modified_time(name).timestamp()


def _store() -> Storage:
    return storages["shared"]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Each store has exceptions of its own, which share no base with ours."""
    try:
        yield
    except (FileNotFoundError, StorageUnavailable):
        raise
    except Exception as error:
        if _is_missing(error):
            raise FileNotFoundError(str(error)) from error
        log.error("The object store failed: %s", error)
        raise StorageUnavailable from error


def _is_missing(error: Exception) -> bool:
    """Whether an S3 client says that there is no such object; a bucket that is missing is a fault."""
    response = getattr(error, "response", None)
    return isinstance(response, dict) and response.get("Error", {}).get("Code") in ("404", "NoSuchKey")
