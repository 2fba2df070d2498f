"""The archive of an import on disk: kept until the import ends, and unpacked for a worker."""

import shutil
import zipfile
from pathlib import Path
from uuid import UUID

from django.conf import settings

from cataract.core.files import sync_folder
from predictions.batches import archives
from predictions.batches.naming import plain_name, spellings
from predictions.batches.uploads import SpooledFile

_ARCHIVE, _PHOTOS = "archive.zip", "photos"


def folder_of(import_id: UUID) -> Path:
    """Where the files of an unfinished import lie."""
    return Path(settings.DATA_DIR) / "imports" / str(import_id)


def keep(import_id: UUID, archive: SpooledFile) -> None:
    """Move a received archive to the folder of its import, durably, before any row says so."""
    folder = folder_of(import_id)
    folder.mkdir(parents=True, mode=0o700)
    archive.flush_to_disk()
    shutil.move(archive.path, folder / _ARCHIVE)
    sync_folder(folder)
    sync_folder(folder.parent)


def unpack(import_id: UUID) -> Path:
    """The folder with the photos of the archive, unpacked anew. Raises ArchiveRefused.

    A file that is damaged in the archive becomes an empty one, which is then refused like any broken photo.
    """
    folder = folder_of(import_id)
    root = folder / _PHOTOS
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700)
    with (folder / _ARCHIVE).open("rb") as file:
        entries, _ = archives.list_entries(file)
        names = spellings([entry.name for entry in entries])[0]
        with zipfile.ZipFile(file) as archive:
            for entry, name in zip(entries, names, strict=True):
                path = root / plain_name(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_content(archive, entry.index))
    return root


def _content(archive: zipfile.ZipFile, index: int) -> bytes:
    try:
        return archives.read_entry(archive, index, limit=settings.MAX_UPLOAD_BYTES)
    except archives.EntryCorrupt:
        return b""


def delete(import_id: UUID) -> None:
    """Delete the files of an import that has ended."""
    shutil.rmtree(folder_of(import_id), ignore_errors=True)
