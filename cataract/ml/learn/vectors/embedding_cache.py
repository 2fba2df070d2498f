"""Embeddings and perceptual hashes of labelled photos, cached from one build to the next."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.checkpoint import load_arrays, save_arrays
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.photos import duplicates, images

_SAVE_EVERY = 200  # photos; a kill costs seconds

_Entries = dict[str, tuple[Floats, list[str]]]  # {sha256: (the fast model's input, perceptual hashes)}


@dataclass(frozen=True)
class EmbeddedPhotos:
    """vectors: the fast model's inputs (N, D) float32; hashes: of each photo, mirrored and turned ones included."""

    vectors: Floats
    hashes: list[list[str]]


def embed_photos(
    cascade: Cascade,
    paths: Sequence[Path],
    sha256s: Sequence[str],
    cache: Path | None = None,
    *,
    stored: Mapping[str, Floats] | None = None,
    reporter: Reporter = SILENT,
) -> EmbeddedPhotos:
    """Embed each photo, or take it from the file `cache`.

    Afterwards the cache holds exactly these photos by this encoder: a photo that is not trained on leaves it.
    stored: vectors that the same encoder made, {sha256: (D,)}; of those photos only the hashes are computed.
    Raises Cancelled.
    """
    cached = _load(cache, cascade.encoder_hash)
    entries: _Entries = {}
    began = time.monotonic()
    for index, (path, sha256) in enumerate(zip(paths, sha256s, strict=True)):
        reporter.check_stop()
        entries[sha256] = cached.get(sha256) or _embed(cascade, path, (stored or {}).get(sha256))
        if index % 20 == 0:
            left = (time.monotonic() - began) * (len(paths) / max(1, index) - 1) / 60
            pace = f", {left:.0f} min left" if index else ""
            reporter.progress("reading", index / len(paths), f"photo {index + 1} of {len(paths)}{pace}")
        if index % _SAVE_EVERY == _SAVE_EVERY - 1 and not cached.keys() >= entries.keys():
            _save(cache, cascade.encoder_hash, cached | entries)
    _save(cache, cascade.encoder_hash, entries)
    vectors = np.stack([entries[sha256][0] for sha256 in sha256s])
    return EmbeddedPhotos(vectors, [entries[sha256][1] for sha256 in sha256s])


def _embed(cascade: Cascade, path: Path, stored: Floats | None) -> tuple[Floats, list[str]]:
    pixels = images.decode(path.read_bytes())
    vector = cascade.embed([pixels])[0] if stored is None else stored
    return vector, duplicates.dihedral_hashes(pixels)


def _load(cache: Path | None, encoder: str) -> _Entries:
    arrays = load_arrays(cache) if cache else None
    if arrays is None or str(arrays["encoder"]) != encoder:
        return {}
    rows = zip(arrays["sha256s"].tolist(), arrays["vectors"], arrays["hashes"].tolist(), strict=True)
    return {sha256: (vector, hashes) for sha256, vector, hashes in rows}


def _save(cache: Path | None, encoder: str, entries: _Entries) -> None:
    if cache is None or not entries:
        return
    cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    arrays = {
        "encoder": np.array(encoder),
        "sha256s": np.array(list(entries)),
        "vectors": np.stack([vector for vector, _ in entries.values()]),
        "hashes": np.array([hashes for _, hashes in entries.values()]),
    }
    save_arrays(cache, arrays)
