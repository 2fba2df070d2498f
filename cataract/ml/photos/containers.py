"""JPEG, PNG and WebP container parsing: file kind, completeness, and metadata removal, without decoding a pixel.

JPEG: ITU-T T.81 annex B. PNG: W3C PNG (third edition), which defines APNG too. WebP: RFC 9649.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice

ACCEPTED = ("JPEG", "PNG", "WEBP")

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PREFIXES = (
    (b"\xff\xd8\xff", "JPEG"),
    (_PNG_MAGIC, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"SIMPLE  =", "FITS"),
    (b"PK\x03\x04", "ZIP"),
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis")
_EITHER_BRANDS = (b"mif1", b"msf1", b"miaf")  # the container alone; the brands after it name the codec
# A marker of the entropy-coded data's end: FF followed by neither a stuffed zero, a restart marker nor a fill byte.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_FILL = re.compile(rb"\xff+")
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}  # TEM, the restart markers and SOI
_PNG_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT")
_WEBP_KEPT = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP")
_WEBP_ANIMATED, _WEBP_XMP, _WEBP_EXIF = 0x02, 0x04, 0x08
ORIENTATION_TAG = 0x0112


def sniff(data: bytes) -> str:
    """The kind of a file by its content: "JPEG", "PNG", "WEBP", the name of another known kind, or ""."""
    for prefix, kind in _PREFIXES:
        if data.startswith(prefix):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[128:132] == b"DICM":
        return "DICOM"
    if data[4:8] == b"ftyp":
        return _sniff_iso(data)
    if data[:2] == b"BM" and len(data) > 26 and data[6:10] == b"\0\0\0\0":
        return "BMP"
    return _sniff_text(data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower())


def _sniff_iso(data: bytes) -> str:
    """The kind of a file of ISO/IEC 14496-12 by its brands: the main one and, where that is vague, the compatible."""
    main, end = data[8:12], min(int.from_bytes(data[:4]), 1024)
    others = {data[place : place + 4] for place in range(16, end, 4)}
    if main in _AVIF_BRANDS or (main in _EITHER_BRANDS and not others.isdisjoint(_AVIF_BRANDS)):
        return "AVIF"
    return "HEIC" if main in (*_HEIC_BRANDS, *_EITHER_BRANDS) else "video"


def _sniff_text(start: bytes) -> str:
    if b"<svg" in start:
        return "SVG"
    return "HTML" if start.startswith((b"<!doctype html", b"<html", b"<script")) else ""


def is_animated(data: bytes, kind: str) -> bool:
    """True when the file holds several frames: APNG, animated WebP."""
    if kind == "PNG":
        # An APNG of one frame that is also its picture is a still, and so is one that says it has none.
        controls = [data[start + 8 : start + 12] for name, start, _ in png_chunks(data) if name == b"acTL"]
        return any(int.from_bytes(frames) > 1 for frames in controls)
    if kind == "WEBP":
        chunks = [(name, data[start + 8 : start + 9] or b"\0") for name, start, _ in webp_chunks(data)]
        return any(name == b"ANIM" or (name == b"VP8X" and flags[0] & _WEBP_ANIMATED) for name, flags in chunks)
    return False


def is_complete(data: bytes, kind: str) -> bool:
    """True when the end marker of the format is there."""
    if kind == "JPEG":
        return any(marker == 0xD9 for marker, _, _ in jpeg_segments(data))
    if kind == "PNG":
        return any(name == b"IEND" and end <= len(data) for name, _, end in png_chunks(data))
    return len(data) >= 8 and len(data) >= 8 + int(struct.unpack("<I", data[4:8])[0])


def has_png_checksums(data: bytes) -> bool:
    """True when every chunk that makes pixels has the right CRC; Pillow does not check those of IDAT."""
    view = memoryview(data)
    return all(
        zlib.crc32(view[start + 4 : end - 4]) == int.from_bytes(view[end - 4 : end])
        for name, start, end in png_chunks(data)
        if name in _PNG_KEPT and end <= len(data)
    )


def png_exif(data: bytes) -> bytes:
    """The content of a PNG's eXIf chunk, empty without one."""
    return next((data[start + 8 : end - 4] for name, start, end in png_chunks(data) if name == b"eXIf"), b"")


def count_parts(data: bytes, kind: str, *, most: int) -> int:
    """How many segments (JPEG) or chunks a file has; `most` + 1 for any more, which are not looked at."""
    parts = {"JPEG": jpeg_segments, "PNG": png_chunks, "WEBP": webp_chunks}[kind](data)
    return sum(1 for _ in islice(parts, most + 1))


def count_stray(data: bytes, *, most: int, segments: int) -> int:
    """How many bytes before the first scan of a JPEG belong to no segment, at most about `most` + 1.

    Decoders walk over fill bytes and over what damage has left there byte by byte. Only the first `segments` are looked
    at.
    """
    position, stray = 2, 0
    while stray <= most and segments:
        found = data.find(b"\xff", position)
        if found < 0:
            return stray + len(data) - position
        marker = _end_of_fill(data, found)
        stray += marker - 1 - position
        if marker >= len(data) or data[marker] in (0xDA, 0xD9):
            return stray
        if data[marker] == 0 or data[marker] in _WITHOUT_LENGTH:
            stray, position = stray + 2, marker + 1
        else:
            position, segments = marker + 1 + max(2, int.from_bytes(data[marker + 1 : marker + 3])), segments - 1
    return stray


def _end_of_fill(data: bytes, position: int) -> int:
    """The place of the first byte after `position` that is not FF."""
    fill = _FILL.match(data, position)
    return position if fill is None else fill.end()


def count_scans(data: bytes) -> int:
    """How many scans a JPEG has; a decoder needs a full pass for each."""
    return sum(marker == 0xDA for marker, _, _ in jpeg_segments(data))


def strip_jpeg(data: bytes, orientation: int = 1) -> bytes:
    """The JPEG without comments, trailing bytes and APPn segments other than JFIF, ICC profile and Adobe transform."""
    kept = [data[start:end] for marker, start, end in jpeg_segments(data) if _is_kept(data, marker, start)]
    if orientation != 1:
        exif = b"Exif\0\0" + _orientation_only(orientation)
        # JFIF's segment, where there is one, must stay the first.
        kept.insert(
            int(bool(kept) and kept[0].startswith(b"\xff\xe0")),
            b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif,
        )
    return b"\xff\xd8" + b"".join(kept)


def _is_kept(data: bytes, marker: int, start: int) -> bool:
    content = data[start + 4 : start + 16]
    match marker:
        case 0xE0:
            return content.startswith(b"JFIF\0")
        case 0xE2:
            return content.startswith(b"ICC_PROFILE\0")
        case 0xEE:
            return content.startswith(b"Adobe")
        case 0xFE:
            return False
    return not 0xE0 <= marker <= 0xEF


def strip_png(data: bytes, orientation: int = 1) -> bytes:
    """The PNG with only the chunks that make its pixels and their colour, and nothing after IEND."""
    kept = [data[start:end] for name, start, end in png_chunks(data) if name in _PNG_KEPT]
    if orientation != 1:
        body = b"eXIf" + _orientation_only(orientation)
        kept.insert(1, struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return _PNG_MAGIC + b"".join(kept)


def strip_webp(data: bytes, orientation: int = 1) -> bytes:
    """The WebP without EXIF, XMP, unknown chunks and trailing bytes."""
    kept = []
    for name, start, end in webp_chunks(data):
        if name not in _WEBP_KEPT:
            continue
        chunk = data[start:end]
        if name == b"VP8X" and len(chunk) > 8:
            flags = chunk[8] & ~(_WEBP_XMP | _WEBP_EXIF) | (_WEBP_EXIF if orientation != 1 else 0)
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        kept.append(chunk)
    if orientation != 1:
        exif = _orientation_only(orientation)
        kept.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _orientation_only(orientation: int) -> bytes:
    """A TIFF header with one directory of one entry."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION_TAG, 3, 1, orientation, 0, 0)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment after SOI up to EOI; a scan's coded data belongs to its SOS segment.

    As decoders do, it walks over fill bytes and whatever else stands between segments. Without an EOI it stops where no
    marker follows.
    """
    position = 2
    while found := _MARKER.search(data, position):
        start, marker = found.start(), data[found.start() + 1]
        if marker == 0xD9 or marker in _WITHOUT_LENGTH:
            position = start + 2
            yield marker, start, position
            if marker == 0xD9:
                return
            continue
        if start + 4 > len(data):
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if marker == 0xDA:
            marker_after = _NEXT_MARKER.search(data, end)
            end = marker_after.start() if marker_after else len(data)
        yield marker, start, min(end, len(data))
        position = max(end, start + 2)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of each chunk up to IEND; end may lie beyond a file that was cut off."""
    position = len(_PNG_MAGIC)
    while position + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        yield name, position, end
        if name == b"IEND":
            return
        position = end


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of each chunk inside the RIFF container, padding byte included."""
    position, limit = 12, min(len(data), 8 + int(struct.unpack("<I", data[4:8])[0]))
    while position + 8 <= limit:
        name, length = struct.unpack("<4sI", data[position : position + 8])
        end = min(position + 8 + length + length % 2, limit)
        yield name, position, end
        position = end
