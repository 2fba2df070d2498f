"""The clean set: the photos on which a starter release is fitted, calibrated and measured, with their embeddings."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, at_most
from cataract.ml.cascade.accurate import AccurateModel
from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import Encoder, EncoderSpec, prepare
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.learn.accurate.augment import changes, healthy_variant
from cataract.ml.learn.reporter import Reporter
from cataract.ml.learn.starter.collection import Collection
from cataract.ml.photos import images
from cataract.ml.release.description import AccurateSpec
from cataract.ml.release.manifest import read_file, verify
from cataract.ml.statistics import splits

# The share of cataract that the starter's probabilities are meant for. Of the public pictures 29 % show one, of
# the files half: a clinic that screens lies somewhere between, and missing one is worse than looking twice.
PREVALENCE = 0.4
_COPIES, _COPY_SIDE = 4, 320  # augmented copies of each photo that the fast model learns from, and their long side
_SPLIT = {"train": 0.8, "test": 0.2}
_CPU = ("CPUExecutionProvider",)


@dataclass(frozen=True)
class CleanSet:
    """The M photos of eyes in the first folder and in the other sources as serving sees them; pixels are full photos.

    vectors: (M, D), inputs of the fast model. augmented: (M, K, D), the same of K augmented copies of each photo: to
    learn from, never to measure on. scores: (M,), log-odds of the accurate model. y, published: in the first folder,
    the label of the majority of each cluster. sources, other: see `Collection`.
    """

    pixels: list[Pixels]
    pupils: list[Pupil | None]
    vectors: Floats
    augmented: Floats
    scores: Floats
    y: NDArray[np.int64]
    published: NDArray[np.int64]
    other: Floats
    clusters: NDArray[np.int64]
    sources: NDArray[np.str_]
    hashes: list[str]
    spec: EncoderSpec

    def take(self, rows: NDArray[np.int64]) -> "CleanSet":
        """The photos of these rows alone."""
        return CleanSet(
            pixels=[self.pixels[row] for row in rows],
            pupils=[self.pupils[row] for row in rows],
            hashes=[self.hashes[row] for row in rows],
            spec=self.spec,
            **{
                name: getattr(self, name)[rows]
                for name in ("vectors", "augmented", "scores", "y", "published", "other", "clusters", "sources")
            },
        )


class Embedder:
    """The encoder and the accurate model of a release that has no fast model yet.

    It gives what `Cascade.embed` and `Cascade.accurate_score` will give.
    """

    def __init__(self, folder: Path, spec: EncoderSpec) -> None:
        trunk, tail = (folder / "trunk.onnx").read_bytes(), (folder / "embed.onnx").read_bytes()
        self._spec = spec
        self._encoder = Encoder(spec, trunk, tail, providers=_CPU, threads=1)
        graph = (folder / "accurate.onnx").read_bytes()
        self._accurate = AccurateModel(AccurateSpec(spec.views), spec, graph, providers=_CPU, threads=1)

    def __call__(self, photo: Pixels, pupil: Pupil | None) -> Floats:
        """(H, W, 3) -> (D,) float32."""
        embeddings = self._encoder.embed(self._encoder.activate(prepare(photo, self._spec, pupil)))
        return np.concatenate([embeddings.ravel(), features.extract(photo, pupil)])

    def score(self, photo: Pixels, pupil: Pupil | None) -> float:
        """The accurate model's log-odds."""
        batch = prepare(photo, self._spec, pupil)
        return self._accurate.score(self._encoder, batch, self._encoder.activate(batch))


@dataclass(frozen=True)
class AugmentedSet:
    """What the fast model is fitted on: N photos and their augmented copies, (N * (K + 1), ...), the photos first."""

    x: Floats
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, clean: CleanSet) -> "AugmentedSet":
        """The photos with their copies; every cluster weighs as one photo, the classes as `PREVALENCE` says."""
        copies = clean.augmented.shape[1]
        x = np.concatenate([clean.vectors, *(clean.augmented[:, number] for number in range(copies))])
        y, clusters = (np.tile(values, copies + 1) for values in (clean.y, clean.clusters))
        weights = splits.cluster_weights(clusters)
        positive = float(weights[y == 1].sum())
        weights[y == 1] *= PREVALENCE / (1 - PREVALENCE) * (weights.sum() - positive) / positive
        return cls(x, y, clusters, weights)


def embed_clean_set(
    photos: Collection, clusters: NDArray[np.int64], folder: Path, spec: EncoderSpec, reporter: Reporter
) -> CleanSet:
    """Embed the photos of eyes of the first folder and of the other sources with the encoder in `folder`."""
    embed = Embedder(folder, spec)
    augment = changes(spec.image_size)
    rows = photos.rows(eyes=True, sources=[photos.home, *photos.other_sources])
    pixels, pupils, vectors, scores, augmented = [], [], [], [], []
    for index, row in enumerate(rows):
        pixels.append(photos.framing.cut(images.decode(photos.paths[row].read_bytes())))
        pupils.append(find_pupil(pixels[-1]))
        vectors.append(embed(pixels[-1], pupils[-1]))
        scores.append(embed.score(pixels[-1], pupils[-1]))
        augment.set_random_seed(int(row))
        rng = np.random.default_rng(int(row))
        small = at_most(pixels[-1], _COPY_SIDE)
        copies = [augment(image=healthy_variant(small, pupils[-1], rng))["image"] for _ in range(_COPIES)]
        augmented.append([embed(copy, find_pupil(copy)) for copy in copies])
        if index % 50 == 0:
            reporter.progress("embedding", index / len(rows), f"photo {index + 1} of {len(rows)}")
    at_home = photos.sources[rows] == photos.home
    return CleanSet(
        pixels=pixels,
        pupils=pupils,
        vectors=np.stack(vectors),
        augmented=np.array(augmented),
        scores=np.array(scores, dtype=np.float32),
        y=_majority(photos.y[rows], clusters[rows], at_home),
        published=_majority(photos.published[rows], clusters[rows], at_home),
        other=photos.other[rows],
        clusters=clusters[rows],
        sources=photos.sources[rows],
        hashes=[photos.hashes[row][0] for row in rows],
        spec=spec,
    )


def choose_test_photos(clean: CleanSet, home: str, start: Path | None, seed: int) -> NDArray[np.bool_]:
    """Which photos of the first folder, `home`, nothing is fitted on, (M,), whole clusters.

    A share drawn by the seed; with `start`, an earlier release, the photos that it spared: a choice made with that
    release must not be judged on photos that led to it. Raises ReleaseCorrupt.
    """
    own = np.asarray(clean.sources == home, dtype=np.bool_)
    if start is None:
        inside = np.flatnonzero(own)
        assigned = splits.assign(clean.clusters[inside].tolist(), clean.y[inside].tolist(), _SPLIT, seed)
        spared = clean.clusters[inside[np.array(assigned) == "test"]]
        return np.asarray(own & np.isin(clean.clusters, spared), dtype=np.bool_)
    seen = set(json.loads(read_file(start, verify(start), "seen.json"))["hashes"])
    fitted = [cluster for cluster, known in zip(clean.clusters, clean.hashes, strict=True) if known in seen]
    return np.asarray(own & ~np.isin(clean.clusters, fitted), dtype=np.bool_)


def _majority(y: NDArray[np.int64], clusters: NDArray[np.int64], at_home: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The labels with one label per cluster of the first folder: in the published set one of eight copies contradicts
    the others."""
    _, inverse = np.unique(clusters, return_inverse=True)
    counts, positive = np.bincount(inverse, at_home), np.bincount(inverse, y * at_home)
    return np.where(at_home, (2 * positive >= counts)[inverse], y).astype(np.int64)
