"""From the bytes that were sent to a photo that can be stored and judged. Nothing here touches a row."""

import hashlib
import time
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from cataract.ml.arrays import Pixels
from cataract.ml.duplicates import dihedral_hashes
from cataract.ml.images import Header, Limits, decode, inspect, strip
from cataract.ml.quality import measure_quality

_SUFFIXES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"))


@dataclass(frozen=True)
class Photo:
    """A photo that passed every technical check.

    `sha256` is of the bytes as sent, `data` the stripped file to keep, `pixels` (H, W, 3) uint8 sRGB upright,
    `hashes` its eight dihedral hashes, `timings` milliseconds by stage.
    """

    sha256: str
    name: str
    data: bytes
    suffix: str
    header: Header
    pixels: Pixels
    hashes: list[str]
    quality: dict[str, Any]
    timings: dict[str, float]


def examine(data: bytes, *, name: str = "") -> Photo:
    """Check, decode once, hash and strip one photo. Raises cataract.ml.images.PhotoRefused."""
    clock = _Clock()
    limits = Limits(max_bytes=settings.MAX_UPLOAD_BYTES, max_pixels=settings.MAX_UPLOAD_PIXELS)
    header = inspect(data, name=name, limits=limits)
    sha256 = hashlib.sha256(data).hexdigest()
    clock.lap("inspect")
    pixels = decode(data)
    clock.lap("decode")
    hashes = dihedral_hashes(pixels)
    quality = asdict(measure_quality(pixels))
    clock.lap("hash")
    stripped = strip(data)
    clock.lap("strip")
    return Photo(
        sha256=sha256,
        name=clean_label(name),
        data=stripped,
        suffix=next((suffix for magic, suffix in _SUFFIXES if stripped.startswith(magic)), ".bin"),
        header=header,
        pixels=pixels,
        hashes=hashes,
        quality=quality,
        timings=clock.laps,
    )


def clean_label(name: str, *, length: int = 100) -> str:
    """A file name or other free text as a harmless label: NFC, no control or bidi characters, no folders, cut."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c) not in _UNSAFE)
    return kept.strip()[:length]


_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = round((now - self._last) * 1000, 2)
        self._last = now
