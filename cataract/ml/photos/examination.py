"""Examine one photo: check, decode, hash, measure and strip it in one call."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from cataract.ml.arrays import Pixels
from cataract.ml.photos import containers, dicom
from cataract.ml.photos.duplicates import dihedral_hashes
from cataract.ml.photos.images import Header, Limits, decode, inspect, strip
from cataract.ml.photos.quality import measure_quality


@dataclass(frozen=True)
class Examined:
    """A photo that passed every technical check.

    `data` is the stripped file to keep, `pixels` (H, W, 3) uint8 sRGB upright, `hashes` the eight dihedral hashes,
    `quality` the measures by name, `timings` milliseconds by stage.
    """

    header: Header
    data: bytes
    pixels: Pixels
    hashes: list[str]
    quality: dict[str, Any]
    timings: dict[str, float]


def examine(
    data: bytes,
    *,
    limits: Limits = Limits(),  # noqa: B008  frozen
    before_decoding: Callable[[Header], None] = lambda header: None,
) -> Examined:
    """Check, decode once, hash and strip one photo, or the one inside a DICOM file. Raises PhotoRefused.

    `before_decoding` is called once the header is accepted.
    """
    clock = _Clock()
    if limits.dicom and len(data) <= limits.max_bytes and containers.sniff(data) == "DICOM":
        data, facts = dicom.unwrap(data, limits=limits)
        header = inspect(data, limits=limits)
        header = replace(header, format="DICOM", facts={**header.facts, **facts})
    else:
        header = inspect(data, limits=limits)
    clock.lap("inspect")
    before_decoding(header)
    pixels = decode(data)
    clock.lap("decode")
    hashes = dihedral_hashes(pixels)
    quality = asdict(measure_quality(pixels))
    clock.lap("hash")
    stripped = strip(data)
    clock.lap("strip")
    return Examined(header, stripped, pixels, hashes, quality, clock.laps)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = round((now - self._last) * 1000, 2)
        self._last = now
