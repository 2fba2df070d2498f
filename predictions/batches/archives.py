"""ZIP archives of photos, with or without their table: checked by their directory, then read entry by entry.

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
from predictions.batches.naming import plain_name
from predictions.batches.tables import MAX_BYTES as MAX_TABLE_BYTES
from predictions.photos.names import printable

MAX_RATIO = 100  # photos hardly compress: a file that unpacks to more than this is a bomb
_FREE_OF_RATIO = 1_000_000  # a small file of one colour is harmless
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"  # APPNOTE.TXT 4.3.14 to 4.3.16
_END_LENGTH, _END_64_LENGTH, _LOCATOR_64_LENGTH, _LONGEST_COMMENT = 22, 56, 20, 65_535
_UTF8_NAME = 0x800  # flag bit 11
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
    """One photo file in an archive: `index` in its directory, and its name; bytes when their code page is unknown."""

    index: int
    name: str | bytes


def list_entries(file: IO[bytes]) -> tuple[list[Entry], bytes | None]:
    """The files of an archive that may be photos, in its own order, and the content of its table, if there is one.

    The table is the one file that ends in .csv, read as far as `tables.read_table` takes it. Nothing else is unpacked.
    Raises ArchiveRefused.
    """
    _check_end_record(file)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check(infos)
            wanted = [(index, info) for index, info in enumerate(infos) if _is_wanted(info)]
            tables = [(index, info) for index, info in wanted if info.filename.lower().endswith(".csv")]
            if len(tables) > 1:
                names = ", ".join(printable(info.filename) for _, info in tables[:5])
                message = f"The archive contains {len(tables)} tables: {names}. Send one."
                raise ArchiveRefused("several_tables", message)
            table = read_entry(archive, tables[0][0], limit=MAX_TABLE_BYTES) if tables else None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, EntryCorrupt) as error:
        raise _corrupt() from error
    photos = [Entry(index, _name(info)) for index, info in wanted if (index, info) not in tables]
    if not photos:
        raise ArchiveRefused("archive_empty", "There is no photo in the archive.")
    return photos, table


def read_entry(archive: zipfile.ZipFile, index: int, *, limit: int) -> bytes:
    """The first `limit` + 1 bytes of an entry: more than `limit` means that it is too large. Raises EntryCorrupt."""
    try:
        with archive.open(archive.infolist()[index]) as entry:
            return entry.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, IndexError, NotImplementedError) as error:
        raise EntryCorrupt("This file is damaged inside the archive.") from error


def _check_end_record(file: IO[bytes]) -> None:
    """Refuse too many entries by the end record alone: zipfile would read the whole directory at once.

    A Zip64 archive states them in a second record, which a locator between the two points to.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_LENGTH - _LONGEST_COMMENT - _LOCATOR_64_LENGTH - _END_64_LENGTH))
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_LENGTH:
        raise ArchiveRefused("archive_unknown", "This is not a ZIP archive.", status=415)
    entries, directory = struct.unpack("<HL", tail[place + 10 : place + 16])
    locator = place - _LOCATOR_64_LENGTH
    if locator >= 0 and tail.startswith(_LOCATOR_64, locator):
        entries, directory = _zip64_size(tail, locator, size - len(tail))
    if entries > settings.MAX_BATCH_FILES or directory > 1_000 * (settings.MAX_BATCH_FILES + 1):
        message = f"There are more than {settings.MAX_BATCH_FILES} files in the archive. Send it in parts."
        raise ArchiveRefused("too_many_files", message, status=413)
    file.seek(0)


def _zip64_size(tail: bytes, locator: int, tail_starts_at: int) -> tuple[int, int]:
    """The number of entries and the size of the directory in the Zip64 end record.

    It must stand right before its locator: versions of zipfile differ in where else they would look.
    """
    record = locator - _END_64_LENGTH
    place = int.from_bytes(tail[locator + 8 : locator + 16], "little")
    if record < 0 or not tail.startswith(_END_64, record) or place != tail_starts_at + record:
        raise _corrupt()
    entries, directory = struct.unpack("<QQ", tail[record + 32 : record + 48])
    return entries, directory


def _check(infos: list[zipfile.ZipInfo]) -> None:
    for info in infos:
        _check_entry(info)
    _check_overlap(infos)
    if sum(info.file_size for info in infos) > settings.MAX_BATCH_BYTES:
        raise _too_large(f"It unpacks to more than {settings.MAX_BATCH_BYTES / 1e6:.0f} MB.")


def _name(info: zipfile.ZipInfo) -> str | bytes:
    """The name; its bytes when it is not ASCII and not flagged as UTF-8: zipfile then reads it as code page 437."""
    if info.flag_bits & _UTF8_NAME or info.filename.isascii():
        return info.filename
    return info.filename.encode("cp437")


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
    name = _name(info)
    parts = (plain_name(name) if isinstance(name, str) else info.filename).split("/")  # a byte \ may be half a letter
    last = parts[-1]
    return bool(last) and not ("__MACOSX" in parts or last.startswith(".") or last == "Thumbs.db")


def _corrupt() -> ArchiveRefused:
    return ArchiveRefused("archive_corrupt", "The archive cannot be read. Make it again and send it.")


def _too_large(why: str) -> ArchiveRefused:
    return ArchiveRefused("archive_too_large", f"The archive is too large. {why}", status=413)
