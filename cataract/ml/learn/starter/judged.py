"""Photos on which a starter release is fitted, calibrated and judged, with what the encoder makes of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.cascade.accurate import AccurateModel
from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import Encoder, EncoderSpec, prepare
from cataract.ml.encoding.pupil import Pupil

# The share of cataract that the starter's probabilities are meant for. Of the public pictures 29 % show one, of
# the files half: a clinic that screens lies somewhere between, and missing one is worse than looking twice.
PREVALENCE = 0.4
# Asked for instead of 95 %: the search over parameters saw the scores that the thresholds are set on, and on the photos
# that nothing was fitted on the thresholds of 95 % erred more often than they promise (docs/experiments.md).
CONFIDENCE = 0.99
_CPU = ("CPUExecutionProvider",)


@dataclass(frozen=True)
class Judged:
    """The photos of the first folder as serving sees them, M of them; pixels are full photos, pupil included."""

    pixels: list[Pixels]
    pupils: list[Pupil | None]
    vectors: Floats  # (M, D), inputs of the fast model
    changed: Floats  # (M, K, D), the same of K changed copies of each photo: to learn from, never to measure on
    scores: Floats  # (M,), log-odds of the accurate model, which has seen none of the photos
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    hashes: list[str]
    spec: EncoderSpec


class Embedder:
    """The fast model's input of a photo before there is a fast model: what `Cascade.embed` will give, and `score` what
    `Cascade.accurate_score` will."""

    def __init__(self, folder: Path, spec: EncoderSpec) -> None:
        trunk, tail = (folder / "trunk.onnx").read_bytes(), (folder / "embed.onnx").read_bytes()
        self._spec = spec
        self._encoder = Encoder(spec, trunk, tail, providers=_CPU, threads=1)
        settings = {"views": spec.views, "flip": False}
        graph = (folder / "accurate.onnx").read_bytes()
        self._accurate = AccurateModel(settings, spec, graph, providers=_CPU, threads=1)

    def __call__(self, photo: Pixels, pupil: Pupil | None) -> Floats:
        """(H, W, 3) -> (D,) float32."""
        embeddings = self._encoder.embed(self._encoder.activate(prepare(photo, self._spec, pupil)))
        return np.concatenate([embeddings.ravel(), features.extract(photo, pupil)])

    def score(self, photo: Pixels, pupil: Pupil | None) -> float:
        """The accurate model's log-odds."""
        batch = prepare(photo, self._spec, pupil)
        return self._accurate.score(self._encoder, batch, self._encoder.activate(batch))


@dataclass(frozen=True)
class Lesson:
    """What the fast model is fitted on: photos and their changed copies, (N * (K + 1), ...), the N photos first."""

    x: Floats
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, judged: Judged, rows: NDArray[np.int64]) -> "Lesson":
        """The lesson of some photos; every cluster weighs as one photo."""
        copies = judged.changed.shape[1]
        x = np.concatenate([judged.vectors[rows], *(judged.changed[rows, number] for number in range(copies))])
        y, clusters = (np.tile(values[rows], copies + 1) for values in (judged.y, judged.clusters))
        return cls(x, y, clusters, per_cluster(clusters))


def per_cluster(clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights under which every cluster weighs as one photo."""
    _, inverse, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[inverse], dtype=np.float64)
