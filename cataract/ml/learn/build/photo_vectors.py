"""What the encoder makes of labelled photos, read once: a cache keeps it from one build to the next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from cataract.ml.arrays import Floats, Pixels, at_most
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.fit.checkpoint import load_arrays, save_arrays
from cataract.ml.learn.fit.fast import ask
from cataract.ml.photos import duplicates, images

_SIDE = 256  # of the copies on which the accurate model is fitted
_SAVE_EVERY = 200  # photos, so that a kill costs seconds

OnProgress = Callable[[str, float, str], None]
Photos = dict[str, tuple[Floats, list[str]]]  # {sha256: (the fast model's input, perceptual hashes)}


@dataclass(frozen=True)
class Read:
    """Of each photo: the fast model's input (N, D), and its perceptual hashes, mirrored and turned ones included."""

    vectors: Floats
    hashes: list[list[str]]


class Copies(Sequence[Pixels]):
    """Small copies of stored photos, each decoded when it is asked for, so that memory does not grow with them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> "Copies": ...
    def __getitem__(self, index: int | slice) -> "Pixels | Copies":
        if isinstance(index, slice):
            return Copies(self._paths[index])
        return at_most(images.decode(self._paths[index].read_bytes()), _SIDE)


def read_photos(
    cascade: Cascade,
    paths: Sequence[Path],
    sha256s: Sequence[str],
    cache: Path | None = None,
    on_progress: OnProgress = lambda stage, fraction, message: None,
    should_stop: Callable[[], bool] = lambda: False,
    stored: Mapping[str, Floats] | None = None,
) -> Read:
    """Read each photo, or take it from the file `cache`, which then holds these photos by this encoder and no others:
    a photo that was withdrawn leaves it with the next build. Of a photo whose vector (by this very encoder) is `stored`
    only the hashes are made. Raises Cancelled.
    """
    known = _load(cache, cascade.encoder_hash)
    found: Photos = {}
    for index, (path, sha256) in enumerate(zip(paths, sha256s, strict=True)):
        ask(should_stop)
        found[sha256] = known.get(sha256) or _read(cascade, path, (stored or {}).get(sha256))
        if index % 20 == 0:
            on_progress("reading", index / len(paths), f"photo {index + 1} of {len(paths)}")
        if index % _SAVE_EVERY == _SAVE_EVERY - 1 and not known.keys() >= found.keys():
            _save(cache, cascade.encoder_hash, known | found)
    _save(cache, cascade.encoder_hash, found)
    return Read(np.stack([found[sha256][0] for sha256 in sha256s]), [found[sha256][1] for sha256 in sha256s])


def _read(cascade: Cascade, path: Path, stored: Floats | None) -> tuple[Floats, list[str]]:
    pixels = images.decode(path.read_bytes())
    vector = cascade.embed([pixels])[0] if stored is None else stored
    return vector, duplicates.dihedral_hashes(pixels)


def _load(cache: Path | None, encoder: str) -> Photos:
    arrays = load_arrays(cache) if cache else None
    if arrays is None or str(arrays["encoder"]) != encoder:
        return {}
    rows = zip(arrays["sha256s"].tolist(), arrays["vectors"], arrays["hashes"].tolist(), strict=True)
    return {sha256: (vector, hashes) for sha256, vector, hashes in rows}


def _save(cache: Path | None, encoder: str, photos: Photos) -> None:
    if cache is None or not photos:
        return
    cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    arrays = {
        "encoder": np.array(encoder),
        "sha256s": np.array(list(photos)),
        "vectors": np.stack([vector for vector, _ in photos.values()]),
        "hashes": np.array([hashes for _, hashes in photos.values()]),
    }
    save_arrays(cache, arrays)
