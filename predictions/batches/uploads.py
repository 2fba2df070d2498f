"""Upload handler of batches: files go straight to disk, under one limit for all of them."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from cataract.core import shared
from cataract.core.errors import DomainError, StorageFull
from predictions.photos.multipart import AnyFileName


def folder_of(batch_id: UUID) -> Path:
    """Where the files of an unfinished batch lie: each at its position, or the archive at 0."""
    return Path(settings.BATCH_DIR) / str(batch_id)


def send(batch_id: UUID, name: str) -> None:
    """Give a file of the batch to the workers of all hosts, where they share an object store."""
    if shared.is_on():
        shared.send(f"{_objects_of(batch_id)}/{name}", folder_of(batch_id) / name)


def fetch(batch_id: UUID) -> None:
    """Bring the files of the batch to this host, where hosts share an object store. Raises StorageUnavailable."""
    if not shared.is_on():
        return
    for name in shared.names(_objects_of(batch_id)):
        target = folder_of(batch_id) / name.rpartition("/")[2]
        if not target.exists():
            shared.fetch(name, target)


def discard(batch_id: UUID, name: str = "") -> None:
    """Delete one file of the batch as it was sent, or all. Raises StorageUnavailable. Safe to repeat."""
    if name:
        (folder_of(batch_id) / name).unlink(missing_ok=True)
    else:
        shutil.rmtree(folder_of(batch_id), ignore_errors=True)
    if shared.is_on():
        for each in list(shared.names(_objects_of(batch_id))):
            if not name or each.endswith(f"/{name}"):
                shared.delete(each)


def _objects_of(batch_id: UUID) -> str:
    return f"batches/{batch_id}"


def sent_again(position: int) -> str:
    """The name, in the folder of its batch, of a file that replaces a refused one."""
    return f"again-{position}"


class BatchTooLarge(DomainError):
    code = "batch_too_large"
    status = 413

    def __init__(self) -> None:
        super().__init__(f"{settings.MAX_BATCH_BYTES / 1e6:.0f} MB is the limit for one batch. Send it in parts.")


class SpooledFile(UploadedFile):  # type: ignore[type-arg]  # not generic at run time
    """One file on disk, in the filesystem of the batches; gone when it is closed and was not moved away."""

    def __init__(self, name: str, content_type: str, size: int, charset: str | None, extra: dict[str, Any]) -> None:
        folder = Path(settings.BATCH_DIR) / "incoming"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, path = tempfile.mkstemp(dir=folder, prefix=".tmp-")
        super().__init__(os.fdopen(descriptor, "w+b"), name, content_type, size, charset, extra)
        self.path = Path(path)
        self._delete = weakref.finalize(self, self.path.unlink, missing_ok=True)  # it may have moved to its batch

    def flush_to_disk(self) -> None:
        """Wait until what was received is on the disk."""
        self.file.flush()  # type: ignore[union-attr]
        os.fsync(self.file.fileno())  # type: ignore[union-attr]

    def close(self) -> None:
        super().close()
        self._delete()


class SpoolHandler(AnyFileName):
    """Writes each file to disk as it arrives. Raises BatchTooLarge and StorageFull out of the parser."""

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._received = 0

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any) -> Any:
        if content_length > settings.MAX_BATCH_BYTES + 1_000_000:
            raise BatchTooLarge
        return super().handle_raw_input(input_data, META, content_length, *args, **kwargs)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        extra = self.content_type_extra or {}
        try:
            self._file = SpooledFile(self.file_name or "", self.content_type or "", 0, self.charset, dict(extra))
        except OSError as error:
            raise StorageFull from error

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._received += len(raw_data)
        if self._received > settings.MAX_BATCH_BYTES:
            raise BatchTooLarge
        try:
            self._file.write(raw_data)
        except OSError as error:
            raise StorageFull from error

    def file_complete(self, file_size: int) -> SpooledFile:
        self._file.seek(0)
        self._file.size = file_size
        return self._file
