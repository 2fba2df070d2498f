"""The rehearsal set of a release: embeddings of the starter's public photos, which every retraining includes.

A retraining on a few dozen new labels then adds to that knowledge instead of replacing it. `rehearsal.npz` holds no
photos, and nothing of an installation's own: these are read again from its labels at each training, so it never holds
a withdrawn photo or a corrected label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.photos import duplicates

FILE = "rehearsal.npz"


@dataclass(frozen=True)
class Rehearsal:
    """M photos: the fast model's inputs (M, D), truth, cluster, weight, perceptual hash, and out-of-fold scores."""

    vectors: Floats
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    weights: NDArray[np.float64]
    hashes: NDArray[np.str_]
    fast_scores: Floats
    accurate_scores: Floats

    @classmethod
    def load(cls, folder: Path, dim: int) -> "Rehearsal":
        """The rehearsal set of the release in `folder`, (M, dim) vectors; empty when it has no such file."""
        if not (folder / FILE).exists():
            floats, ints = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
            hashes = np.zeros(0, dtype="<U16")
            return cls(floats.reshape(0, dim), ints, ints, floats.astype(np.float64), hashes, floats, floats)
        with np.load(folder / FILE, allow_pickle=False) as file:
            values = {field.name: file[field.name] for field in fields(cls)}
        for name in ("vectors", "fast_scores", "accurate_scores"):
            values[name] = values[name].astype(np.float32)
        return cls(**values)

    def save(self, folder: Path) -> None:
        """Write the file, unless the set is empty. The same content gives the same bytes."""
        if len(self.y):
            values = {field.name: getattr(self, field.name) for field in fields(self)}
            np.savez_compressed(folder / FILE, **{**values, "vectors": self.vectors.astype(np.float16)})

    def without(self, hashes: Sequence[Sequence[str]]) -> "Rehearsal":
        """This set without near-duplicates of the photos whose (dihedral) hashes are given."""
        keep = np.ones(len(self.y), dtype=bool)
        for of_photo in hashes:
            keep[duplicates.near(of_photo, self.hashes.tolist())] = False
        return Rehearsal(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def twins(self, hashes: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """For each photo, the row of its nearest near-duplicate in this set, (N,); -1 where there is none."""
        nearest = [duplicates.nearest(of_photo, self.hashes.tolist()) for of_photo in hashes]
        rows = [match[0] if match is not None and match[1] <= duplicates.NEAR else -1 for match in nearest]
        return np.array(rows, dtype=np.int64)
