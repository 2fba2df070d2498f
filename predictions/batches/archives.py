"""ZIP archives of photos: checked by their directory before anything is unpacked, then read entry by entry.

Claims of an archive are checked twice: its directory must list plain files of limited size that do not overlap, and the
reader stops at the limit whatever the directory says.
"""

import itertools
import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO

from django.conf import settings

from cataract.core.errors import DomainError

MAX_RATIO = 100  # photos hardly compress: a file that unpacks to more than this is a bomb
_FREE_OF_RATIO = 1_000_000  # a small file of one colour is harmless
_END = b"PK\x05\x06"
_END_LENGTH, _LONGEST_COMMENT = 22, 65_535
_NESTED = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_DRIVE = re.compile(r"^[A-Za-z]:")


class ArchiveRefused(DomainError):
    """The whole archive is refused, and nothing of it was stored."""

    field = "archive"

    def __init__(self, code: str, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # one class, one code for each reason
        self.status = status  # type: ignore[misc]


class EntryCorrupt(Exception):
    """One entry cannot be unpacked; the others may be intact."""


@dataclass(frozen=True)
class Entry:
    """One photo file in an archive: `index` in its directory, name as written there, promised size in bytes."""

    index: int
    name: str
    size: int


def list_entries(file: IO[bytes]) -> list[Entry]:
    """The files of an archive that may be photos, in its own order. Unpacks nothing. Raises ArchiveRefused."""
    _check_end_record(file)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise ArchiveRefused("archive_corrupt", "The archive cannot be read. Make it again and send it.") from error
    for info in infos:
        _check_entry(info)
    _check_overlap(infos)
    if sum(info.file_size for info in infos) > settings.MAX_BATCH_BYTES:
        raise _too_large(f"It unpacks to more than {settings.MAX_BATCH_BYTES / 1e6:.0f} MB.")
    found = [Entry(i, info.filename, info.file_size) for i, info in enumerate(infos) if _is_wanted(info)]
    if not found:
        raise ArchiveRefused("archive_empty", "There is no file in the archive.")
    return found


def read_entry(archive: zipfile.ZipFile, index: int, *, limit: int) -> bytes:
    """The first `limit` + 1 bytes of an entry: more than `limit` means that it is too large. Raises EntryCorrupt."""
    try:
        with archive.open(archive.infolist()[index]) as entry:
            return entry.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, IndexError, NotImplementedError) as error:
        raise EntryCorrupt("This file is damaged inside the archive.") from error


def _check_end_record(file: IO[bytes]) -> None:
    """Refuse too many entries by the end record alone: zipfile would read the whole directory at once."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_LENGTH - _LONGEST_COMMENT))
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_LENGTH:
        raise ArchiveRefused("archive_unknown", "This is not a ZIP archive.", status=415)
    entries, directory = struct.unpack("<HL", tail[place + 10 : place + 16])
    if entries > settings.MAX_BATCH_FILES or directory > 1_000 * (settings.MAX_BATCH_FILES + 1):
        message = f"There are more than {settings.MAX_BATCH_FILES} files in the archive. Send it in parts."
        raise ArchiveRefused("too_many_files", message, status=413)
    file.seek(0)


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    parts = name.replace("\\", "/").split("/")
    if "\x00" in name or name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts:
        raise ArchiveRefused("bad_entry_path", "A file in the archive has a path that points outside it.")
    if info.flag_bits & 0x1:
        raise ArchiveRefused("archive_encrypted", "The archive has a password. Send it without one.")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ArchiveRefused("archive_symlink", "The archive contains a link. Send the photos themselves.")
    if name.lower().endswith(_NESTED):
        raise ArchiveRefused("archive_nested", "The archive contains another archive. Send the photos themselves.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRefused("archive_method", "The archive is compressed in an unusual way. Make a plain ZIP.")
    if info.file_size > max(_FREE_OF_RATIO, MAX_RATIO * info.compress_size):
        raise _too_large("A file in it unpacks to more than a hundred times its size.")


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for first, second in itertools.pairwise(ordered):
        if first.header_offset + 30 + first.compress_size > second.header_offset:
            raise ArchiveRefused("archive_overlap", "Files in the archive overlap. Make it again and send it.")


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    """Whether it may be a photo: not a folder, and not a file that macOS or Windows adds."""
    parts = info.filename.split("/")
    return not (info.is_dir() or "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1] == "Thumbs.db")


def _too_large(why: str) -> ArchiveRefused:
    return ArchiveRefused("archive_too_large", f"The archive is too large. {why}", status=413)
