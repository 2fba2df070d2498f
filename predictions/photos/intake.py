"""From the bytes that were sent to a photo that can be stored and judged. Nothing here touches a row."""

import hashlib
import os
import threading
import time
import unicodedata
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cataract.core.errors import DecodersBusy
from cataract.ml.arrays import Pixels
from cataract.ml.photos import examination, images
from cataract.ml.photos.decoders import Guard, GuardBusy
from cataract.ml.photos.images import Header, Limits

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
    """Check, decode once, hash and strip one photo, in a decoder process where settings.DECODER_PROCESSES allows any.

    Raises cataract.ml.photos.images.PhotoRefused, DecodersBusy.
    """
    started = time.perf_counter()
    limits = Limits(
        max_bytes=settings.MAX_UPLOAD_BYTES, max_pixels=settings.MAX_UPLOAD_PIXELS, dicom=settings.ACCEPT_DICOM
    )
    guard = _guard()
    try:
        found = (examination if guard is None else guard).examine(data, name=name, limits=limits)
    except GuardBusy as error:
        raise DecodersBusy from error
    sha256 = hashlib.sha256(data).hexdigest()
    waited = (time.perf_counter() - started) * 1000 - sum(found.timings.values())
    return Photo(
        sha256=sha256,
        name=clean_label(name),
        data=found.data,
        suffix=next((suffix for magic, suffix in _SUFFIXES if found.data.startswith(magic)), ".bin"),
        header=found.header,
        pixels=found.pixels,
        hashes=found.hashes,
        quality=found.quality,
        timings={**found.timings, "guard": round(max(0.0, waited), 2)},
    )


def derivative(data: bytes, *, max_side: int) -> bytes:
    """`images.derivative`, in a decoder process where there are any. Raises PhotoRefused, DecodersBusy."""
    guard = _guard()
    try:
        return (images if guard is None else guard).derivative(data, max_side=max_side)
    except GuardBusy as error:
        raise DecodersBusy from error


def warm_up() -> None:
    """Start a decoder process, so that the first upload does not wait for it."""
    guard = _guard()
    if guard is not None:
        guard.start()


def clean_label(name: str, *, length: int = 100) -> str:
    """A file name or other free text as a harmless label: NFC, no control or bidi characters, no folders, cut."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c) not in _UNSAFE)
    return kept.strip()[:length]


_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


_lock = threading.Lock()
_guards: dict[tuple[int, int], Guard] = {}


def _guard() -> Guard | None:
    """The decoder processes of this process, None when photos are to be decoded right here."""
    processes = settings.DECODER_PROCESSES
    if processes < 1:
        return None
    with _lock:
        return _guards.setdefault((os.getpid(), processes), Guard(processes))
