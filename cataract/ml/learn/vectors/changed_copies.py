"""Changed copies of labelled photos, as inputs of the fast model: to learn from, never to measure on.

What a camera, the light or a file format changes must not change the answer. A light installation has no albumentations
and learns from the photos alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, at_most
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.checkpoint import load_arrays, save_arrays
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import images

_MOST, _COPIES = 6000, 3  # copies in all, and of one photo
_SIDE = 320  # pixels of the long side: a copy needs no more resolution


@dataclass(frozen=True)
class ChangedCopies:
    """vectors: (M, D), inputs of the fast model; of: (M,), the row of the photo that each is a copy of."""

    vectors: Floats
    of: NDArray[np.int64]


def embed_copies(
    cascade: Cascade,
    paths: Sequence[Path],
    sha256s: Sequence[str],
    cache: Path | None = None,
    reporter: Reporter = SILENT,
) -> ChangedCopies:
    """Change each photo in up to three random ways and embed the copies, or take them from the file `cache`.

    The same photo is changed in the same ways each time. Afterwards the cache holds exactly these photos by this
    encoder. None where albumentations is missing. Raises Cancelled.
    """
    count = min(_COPIES, _MOST // max(1, len(paths)))
    try:
        from cataract.ml.learn.accurate import augment
    except ImportError:
        count = 0
    if not count:
        return ChangedCopies(np.zeros((0, cascade.spec.dim), dtype=np.float32), np.zeros(0, dtype=np.int64))
    cached = _load(cache, cascade.encoder_hash, count)
    made = {}
    for index, (path, sha256) in enumerate(zip(paths, sha256s, strict=True)):
        reporter.check_stop()
        found = cached.get(sha256)
        made[sha256] = _embed(cascade, path, sha256, count, augment) if found is None else found
        if index % 20 == 0:
            reporter.progress("reading", index / len(paths), f"changed copies of photo {index + 1} of {len(paths)}")
    if cache is not None:
        names, vectors = np.array(list(made)), np.stack(list(made.values()))
        save_arrays(cache, {"encoder": np.array(cascade.encoder_hash), "sha256s": names, "vectors": vectors})
    vectors = np.concatenate([made[sha256] for sha256 in sha256s])
    return ChangedCopies(vectors, np.repeat(np.arange(len(paths)), count))


def _embed(cascade: Cascade, path: Path, sha256: str, count: int, augment: Any) -> Floats:
    """(count, D): inputs of the fast model."""
    rng = np.random.default_rng(int(sha256[:16], 16))
    change = augment.changes(_SIDE)
    change.set_random_seed(int(rng.integers(2**31)))
    picture = images.decode(path.read_bytes())
    photo = at_most(cascade.find_frame(picture).cut(picture), _SIDE)
    pupil = find_pupil(photo)
    return cascade.embed([change(image=augment.healthy_variant(photo, pupil, rng))["image"] for _ in range(count)])


def _load(cache: Path | None, encoder: str, count: int) -> dict[str, Floats]:
    arrays = load_arrays(cache) if cache else None
    if arrays is None or str(arrays["encoder"]) != encoder or arrays["vectors"].shape[1] != count:
        return {}
    return dict(zip(arrays["sha256s"].tolist(), arrays["vectors"], strict=True))
