"""Check, decode and strip photo files: bytes -> upright sRGB array, stripped original, JPEG for browsers.

Cheap checks come first: byte limit, first bytes, header, and only then a bounded decode.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from PIL import Image, ImageCms

from cataract.ml.arrays import Pixels, at_most
from cataract.ml.photos import containers
from cataract.ml.photos.exif import printable, read_facts, read_orientation
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode

# What takes long to read although it is small. A camera writes about ten scans, twenty segments and a few fill bytes; a
# PNG of 20 MB has some 2,500 chunks.
MAX_SCANS = 100
MAX_PARTS = 10_000
MAX_STRAY = 65_536
_STRIPPERS: dict[str, Callable[[bytes, int], bytes]] = {
    "JPEG": containers.strip_jpeg,
    "PNG": containers.strip_png,
    "WEBP": containers.strip_webp,
}
_OTHER_CODES = {"HEIC": RefusalCode.HEIC, "": RefusalCode.TYPE_UNKNOWN}


@dataclass(frozen=True)
class Limits:
    """What is accepted. Sides in pixels; max_aspect is long side / short side; dicom: photos inside DICOM too."""

    max_bytes: int = 20_000_000
    max_pixels: int = 64_000_000
    min_side: int = 32
    max_aspect: float = 3.0
    dicom: bool = True


@dataclass(frozen=True)
class Header:
    """What the header of a file states. width and height: after applying `orientation` (EXIF's, 1..8).

    colour_profile: the ICC profile's name, "unreadable" when there is one that makes no sense, "" without one.
    facts: allow-listed EXIF as text: make, model, exposure, aperture, iso, focal_length, captured_at; `grey`: "yes".
    Of DICOM: make, model, captured_at, and `eye`, OD or OS.
    """

    format: str
    width: int
    height: int
    orientation: int
    colour_profile: str
    facts: dict[str, str] = field(default_factory=dict)


def inspect(data: bytes, *, limits: Limits = Limits()) -> Header:
    """Check a file by its first bytes and its header, never by its name; no pixel is decoded. Raises PhotoRefused."""
    if not data:
        raise PhotoRefused(RefusalCode.FILE_EMPTY)
    if len(data) > limits.max_bytes:
        raise PhotoRefused(RefusalCode.FILE_TOO_LARGE, limit=limits.max_bytes, size=len(data))
    kind = _accepted_kind(data)
    _check_structure(data, kind)
    if containers.is_animated(data, kind):
        raise PhotoRefused(RefusalCode.ANIMATED)
    image = _open(data, kind)
    check_size(*image.size, limits)
    if image.mode == "1":
        raise PhotoRefused(RefusalCode.DEPTH_TOO_LOW)
    orientation = read_orientation(image, data)
    width, height = image.size if orientation < 5 else image.size[::-1]
    return Header(kind, width, height, orientation, _profile_name(image), read_facts(image, data))


def _check_structure(data: bytes, kind: str) -> None:
    """Refuse a file that would take long to read: with more scans, segments, chunks or stray bytes than any photo."""
    is_jpeg = kind == "JPEG"
    if (  # stray bytes first: the other two search them one by one
        (is_jpeg and containers.count_stray(data, most=MAX_STRAY, segments=MAX_PARTS) > MAX_STRAY)
        or containers.count_parts(data, kind, most=MAX_PARTS) > MAX_PARTS
        or (is_jpeg and containers.count_scans(data) > MAX_SCANS)
    ):
        raise PhotoRefused(RefusalCode.DECODE_TIMEOUT)


def strip(data: bytes) -> bytes:
    """The same pixels without metadata and trailing bytes, not re-encoded.

    What pixels cannot be understood without stays: the colour profile, and an EXIF block that holds the orientation and
    nothing else, where that is not 1. Raises PhotoRefused.
    """
    kind = _accepted_kind(data)
    return _STRIPPERS[kind](data, read_orientation(_open(data, kind), data))


def decode(data: bytes, *, min_side: int = 448, orientation: int | None = None) -> Pixels:
    """The photo as (H, W, 3) uint8 sRGB, turned upright.

    min_side: a photo is decoded at 1/2, 1/4 or 1/8 when its short side stays at least this long; every byte is
    still read, so truncation is found. orientation: 1..8 instead of what EXIF says.
    Transparent parts become black; 16 bits are scaled to 8; a colour profile is applied, one that is broken ignored.
    Raises PhotoRefused (image_truncated, image_corrupt, blank, too_many_pixels).
    """
    kind = _accepted_kind(data)
    image = _open(data, kind)
    check_size(*image.size, Limits(min_side=1, max_aspect=math.inf))
    turn = read_orientation(image, data) if orientation is None else orientation
    if kind == "JPEG":
        factor = min_side / min(image.size)
        image.draft(None, (math.ceil(image.width * factor), math.ceil(image.height * factor)))
    try:
        if kind == "PNG" and not containers.has_png_checksums(data):
            raise ValueError("a chunk has a wrong checksum")
        image.load()
        pixels = np.asarray(_reduce(_to_srgb(image), min_side), dtype=np.uint8)
    except PhotoRefused:
        raise
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, zlib.error, struct.error ...
        _refuse_broken(data, kind, error)
    return np.ascontiguousarray(_TURNS[turn](pixels))


def derivative(data: bytes, *, max_side: int, orientation: int | None = None, quality: int = 88) -> bytes:
    """A JPEG for browsers: upright, sRGB, no metadata, long side at most `max_side`. Raises PhotoRefused."""
    pixels = at_most(decode(data, min_side=max_side, orientation=orientation), max_side)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def _accepted_kind(data: bytes) -> str:
    kind = containers.sniff(data)
    if kind in containers.ACCEPTED:
        return kind
    raise PhotoRefused(_OTHER_CODES.get(kind, RefusalCode.TYPE_NOT_ACCEPTED), kind)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise PhotoRefused when this many pixels, or sides like these, are not accepted."""
    if width * height > limits.max_pixels:
        raise PhotoRefused(RefusalCode.TOO_MANY_PIXELS, width=width, height=height, limit=limits.max_pixels)
    short, long = sorted((width, height))
    if short * limits.max_aspect < long:
        raise PhotoRefused(RefusalCode.BAD_ASPECT, width=width, height=height)
    if short < limits.min_side:
        raise PhotoRefused(RefusalCode.TOO_SMALL, width=width, height=height, limit=limits.min_side)


def _open(data: bytes, kind: str) -> Image.Image:
    """The header only: Pillow decodes nothing before `load`."""
    try:
        return Image.open(io.BytesIO(data), formats=(kind,))
    except Image.DecompressionBombError:
        raise PhotoRefused(RefusalCode.TOO_MANY_PIXELS, "header", limit=Limits().max_pixels) from None
    except Exception as error:
        _refuse_broken(data, kind, error)


def _refuse_broken(data: bytes, kind: str, error: Exception) -> NoReturn:
    if containers.is_complete(data, kind):
        raise PhotoRefused(RefusalCode.IMAGE_CORRUPT) from error
    raise PhotoRefused(RefusalCode.IMAGE_TRUNCATED) from error


def _reduce(image: Image.Image, min_side: int) -> Image.Image:
    """Shrink an image that had to be decoded in full, as `draft` does for a JPEG: the mean of each square."""
    factor = next((n for n in (8, 4, 2) if min(image.size) >= n * min_side), 1)
    return image if factor == 1 else image.reduce(factor)


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow itself would clip it
        return Image.fromarray(np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _on_black(image.convert("RGBA"), image.info.get("icc_profile"))
    if image.mode == "P":
        return _through_profile(image.convert("RGB"), image.info.get("icc_profile"))
    return _through_profile(image, image.info.get("icc_profile"))


def _on_black(image: Image.Image, profile: Any) -> Image.Image:
    alpha = image.getchannel("A")
    if alpha.getextrema()[1] == 0:
        raise PhotoRefused(RefusalCode.BLANK)
    black = Image.new("RGB", image.size)
    black.paste(_through_profile(image.convert("RGB"), profile), mask=alpha)
    return black


def _through_profile(image: Image.Image, profile: Any) -> Image.Image:
    """The image in sRGB by its own profile; by Pillow's plain conversion when there is none or it makes no sense."""
    if isinstance(profile, bytes) and profile and not _is_srgb(profile):
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")  # else it would be copied


def _is_srgb(profile: bytes) -> bool:
    return "srgb" in _describe(profile).lower()


def _describe(profile: bytes) -> str:
    try:
        text = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "unreadable"
    return printable(text, 64) or "unnamed"


def _profile_name(image: Image.Image) -> str:
    profile = image.info.get("icc_profile")
    return _describe(profile) if isinstance(profile, bytes) and profile else ""


_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels.transpose(1, 0, 2)[:, ::-1],
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels.transpose(1, 0, 2)[::-1],
}
