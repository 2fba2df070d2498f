"""The labelled photos of a build, and how they are split and weighted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, at_most
from cataract.ml.encoding.framing import Framing
from cataract.ml.learn.reporter import Reporter
from cataract.ml.photos import images
from cataract.ml.statistics import splits

# With fewer calibration clusters of a class, the training split is used for calibration too, by cross-fitting.
MIN_CALIBRATION_CLUSTERS = 30
_THUMBNAIL_SIDE = 256  # pixels; the accurate model is fine-tuned on photos of this size


@dataclass(frozen=True)
class TrainingData:
    """The N labelled photos of one frozen dataset.

    paths, sha256s: the stored files. y: (N,) int64, 1 is cataract. clusters: (N,) int64. splits: "train" or
    "calibration"; a build refuses other splits. weights: (N,) float64. vectors: embeddings by the base's encoder of
    some photos, {sha256: (D,)}; those photos are not encoded again. calibration: in words, which photos the
    calibration split holds.
    """

    paths: Sequence[Path]
    sha256s: Sequence[str]
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    splits: Sequence[str]
    weights: NDArray[np.float64]
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    calibration: str = "all labelled photos"

    def check(self) -> None:
        """Raises ValueError without training photos of both classes, or with photos of a split not named above."""
        others = sorted(set(self.splits) - {"train", "calibration"})
        if others:
            raise ValueError(f"A build must not see photos of the split {', '.join(others)}.")
        if set(np.unique(self.y[self.rows("train")])) != {0, 1}:
            raise ValueError("The training split needs labelled photos of both classes.")

    def rows(self, split: str) -> NDArray[np.int64]:
        """The indices of the photos of a split."""
        return np.flatnonzero(np.array(self.splits) == split)

    def cluster_weights(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The weights of `rows`, each divided by the size of its cluster: copies add no weight."""
        return np.asarray(self.weights[rows] * splits.cluster_weights(self.clusters[rows]), dtype=np.float64)

    def chances(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The weights of `rows`, 1 / the chance with which each was chosen to be read, scaled to a mean of 1."""
        return np.asarray(self.weights[rows] / self.weights[rows].mean() if len(rows) else np.zeros(0))

    @property
    def calibration_suffices(self) -> bool:
        """Whether the calibration split alone is large enough to set thresholds on."""
        rows = self.rows("calibration")
        counts = [len(np.unique(self.clusters[rows][self.y[rows] == label])) for label in (0, 1)]
        return min(counts) >= MIN_CALIBRATION_CLUSTERS

    def thumbnails(self, rows: NDArray[np.int64], framing: Framing) -> "Thumbnails":
        return Thumbnails([self.paths[row] for row in rows], framing)

    def calibration_photos(self, reporter: Reporter) -> Iterator[Pixels]:
        """The photos on which thresholds are set: the calibration split, and the training split where it is small.

        Raises Cancelled.
        """
        splits = {"calibration"} if self.calibration_suffices else {"calibration", "train"}
        for path, split in zip(self.paths, self.splits, strict=True):
            reporter.check_stop()
            if split in splits:
                yield images.decode(path.read_bytes())


class Thumbnails(Sequence[Pixels]):
    """Small copies of stored photos, framed. Each is decoded when it is read, to keep memory flat."""

    def __init__(self, paths: Sequence[Path], framing: Framing) -> None:
        self._paths, self._framing = paths, framing

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> "Thumbnails": ...
    def __getitem__(self, index: int | slice) -> "Pixels | Thumbnails":
        if isinstance(index, slice):
            return Thumbnails(self._paths[index], self._framing)
        return at_most(self._framing.cut(images.decode(self._paths[index].read_bytes())), _THUMBNAIL_SIDE)
