"""Check and decode uploaded bytes. Nothing here touches the database."""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cataract.core.errors import DecodersBusy
from cataract.core.metrics import REFUSED_PHOTOS
from cataract.ml.arrays import Pixels
from cataract.ml.photos import examination, images
from cataract.ml.photos.decoders import DecoderPool, PoolBusy
from cataract.ml.photos.images import Header, Limits
from cataract.ml.photos.refusals import PhotoRefused
from predictions.photos.names import clean_label
from predictions.photos.refusals import BadPhoto

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


def examine(data: bytes, *, name: str = "", caller: object = None) -> Photo:
    """Check, decode once, hash and strip one photo, in a decoder process unless settings.DECODER_PROCESSES is 0.

    `caller`: who sent it; nobody occupies all decoder processes. Raises BadPhoto, DecodersBusy.
    """
    started = time.perf_counter()
    limits = Limits(
        max_bytes=settings.MAX_UPLOAD_BYTES, max_pixels=settings.MAX_UPLOAD_PIXELS, dicom=settings.ACCEPT_DICOM
    )
    with _refusals():
        pool = _decoder_pool()
        examined = (
            examination.examine(data, limits=limits)
            if pool is None
            else pool.examine(data, limits=limits, caller=caller)
        )
    sha256 = hashlib.sha256(data).hexdigest()
    waited = (time.perf_counter() - started) * 1000 - sum(examined.timings.values())
    return Photo(
        sha256=sha256,
        name=clean_label(name),
        data=examined.data,
        suffix=next((suffix for magic, suffix in _SUFFIXES if examined.data.startswith(magic)), ".bin"),
        header=examined.header,
        pixels=examined.pixels,
        hashes=examined.hashes,
        quality=examined.quality,
        timings={**examined.timings, "guard": round(max(0.0, waited), 2)},
    )


def derivative(data: bytes, *, max_side: int) -> bytes:
    """`images.derivative`, in a decoder process where there are any. Raises BadPhoto, DecodersBusy."""
    with _refusals():
        return (_decoder_pool() or images).derivative(data, max_side=max_side)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn the library's errors into those of the app."""
    try:
        yield
    except PhotoRefused as error:
        REFUSED_PHOTOS.labels(error.code).inc()
        raise BadPhoto(error) from error
    except PoolBusy as error:
        REFUSED_PHOTOS.labels("decoders_busy").inc()
        raise DecodersBusy from error


def warm_up() -> None:
    """Start a decoder process before the first upload arrives."""
    pool = _decoder_pool()
    if pool is not None:
        pool.start()


_lock = threading.Lock()
_pools: dict[tuple[int, int], DecoderPool] = {}


def _decoder_pool() -> DecoderPool | None:
    """The decoder processes of this process, None when photos are decoded in the process itself."""
    processes = settings.DECODER_PROCESSES
    if processes < 1:
        return None
    with _lock:
        return _pools.setdefault((os.getpid(), processes), DecoderPool(processes))
