"""Which photos a release is calibrated and judged on, and their scores by models that were fitted without them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.fast import FastModel
from cataract.ml.learn.build.calibrate import HeldOut
from cataract.ml.learn.build.workspace import Build
from cataract.ml.learn.vectors.embedding_cache import EmbeddedPhotos
from cataract.ml.learn.vectors.out_of_fold import OutOfFold
from cataract.ml.learn.vectors.rehearsal import Rehearsal
from cataract.ml.learn.vectors.score_cache import ScoreCache
from cataract.ml.photos import duplicates
from cataract.ml.release.seen import read_seen

_OWN = "the calibration split of this installation"
_POOLED = (
    "the calibration split was too small by itself, so the training split and the photos of the base release were "
    "added, scored by models of other folds (cross-fitting)"
)


@dataclass(frozen=True)
class Photos:
    """The labelled photos of a build as the encoder sees them, and those that the base release remembers.

    remembered: without near-duplicates of labelled photos. known: the same with them, for their scores.
    """

    own: EmbeddedPhotos
    remembered: Rehearsal
    known: Rehearsal


@dataclass(frozen=True)
class Refitted:
    """The out-of-fold scores of the models that this build fitted; None for a model that is the base's.

    fast: of the training split, then of the remembered photos. accurate: of the training split; empty where the
    calibration split is enough.
    """

    fast: Floats | None
    accurate: Floats | None


@dataclass(frozen=True)
class Judged:
    """The same photos scored by the new models and by the base's, and which of them (N,) are the installation's own."""

    new: HeldOut
    base: HeldOut
    is_own: NDArray[np.bool_]


def judge(build: Build, photos: Photos, refitted: Refitted, cascade: Cascade) -> Judged:
    """Score by models that have not seen them: the calibration split; where that is too small also the training split
    and the remembered photos. Photos without such a score by each of the models are left out.

    Writes the out-of-fold scores of the new models. cascade: the new models, uncalibrated. Raises Cancelled.
    """
    data, folder = build.data, build.folder
    train, own = data.rows("train"), data.rows("calibration")
    base_models = _Models(build, photos, build.base, Cascade.assemble(build.base, build.base_manifest), "scores.npz")
    new_models = _Models(build, photos, folder, cascade, "" if build.config.trains_accurate else "scores.npz")
    base_fast, base_accurate = base_models.fast(own), base_models.accurate(own)
    new_fast = new_models.fast(own) if build.config.trains_fast else base_fast
    new_accurate = new_models.accurate(own) if build.config.trains_accurate else base_accurate
    kept_fast, kept_accurate = base_models.without(train)
    n, nothing = len(train), np.full(len(train), np.nan, dtype=np.float32)
    fast = kept_fast if refitted.fast is None else refitted.fast[:n]
    accurate = kept_accurate
    if refitted.accurate is not None:
        accurate = refitted.accurate if len(refitted.accurate) else nothing
    base_models.save()
    OutOfFold(np.array([data.sha256s[row] for row in train]), fast, accurate).save(folder)
    rows, note = own, f"{_OWN}: {data.calibration}"
    more, rehearsal = 0, photos.remembered
    if not data.calibration_suffices:
        rows, note, more = np.concatenate([own, train]), _POOLED, len(rehearsal.y)
        new_fast, new_accurate = np.concatenate([new_fast, fast]), np.concatenate([new_accurate, accurate])
        base_fast, base_accurate = (
            np.concatenate([base_fast, kept_fast]),
            np.concatenate([base_accurate, kept_accurate]),
        )

    def held(fast: Floats, accurate: Floats, remembered_fast: Floats) -> HeldOut:
        return HeldOut(
            np.concatenate([fast, remembered_fast[:more]]),
            np.concatenate([accurate, rehearsal.accurate_scores[:more]]),
            np.concatenate([data.y[rows], rehearsal.y[:more]]),
            np.concatenate([data.clusters[rows], disjoint(rehearsal.clusters, data.clusters)[:more]]),
            note,
            np.concatenate([data.chances(rows), rehearsal.weights[:more]]),
        )

    remembered_fast = rehearsal.fast_scores if refitted.fast is None else refitted.fast[n : n + len(rehearsal.y)]
    replace(rehearsal, fast_scores=remembered_fast).save(folder)
    new, base = held(new_fast, new_accurate, remembered_fast), held(base_fast, base_accurate, rehearsal.fast_scores)
    honest = np.isfinite(new.fast) & np.isfinite(new.accurate)
    is_own = np.arange(len(new.y)) < len(rows)
    return Judged(new.take(honest), base.take(honest), is_own[honest])


class _Models:
    """Both models of the release in `folder`, and their scores of labelled photos."""

    def __init__(self, build: Build, photos: Photos, folder: Path, cascade: Cascade, cache: str) -> None:
        file = build.config.cache
        self._build, self._photos = build, photos
        self._fast = FastModel((folder / "fast.txt").read_text(encoding="utf-8"), dim=photos.own.vectors.shape[1])
        self._accurate = ScoreCache(cascade, file.with_name(cache) if file and cache else None)
        self._stored, self._seen = OutOfFold.load(folder), read_seen(folder)

    def fast(self, rows: NDArray[np.int64]) -> Floats:
        return self._fast.score(self._photos.own.vectors[rows]) if len(rows) else np.zeros(0, dtype=np.float32)

    def accurate(self, rows: NDArray[np.int64]) -> Floats:
        data = self._build.data
        paths, sha256s = [data.paths[row] for row in rows], [data.sha256s[row] for row in rows]
        return self._accurate.scores(paths, sha256s, self._build.reporter)

    def save(self) -> None:
        self._accurate.save()

    def without(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(fast, accurate): the scores of `rows` by models fitted without them, NaN where there are none.

        They are the scores that the release keeps of the photo, or of the same public photo; where it was never seen
        the models score it themselves, if calibration needs it.
        """
        hashes = [self._photos.own.hashes[row] for row in rows]
        twins = self._photos.known.twins(hashes)
        unseen = np.zeros(len(rows), dtype=bool)
        if not self._build.data.calibration_suffices:
            unseen = np.array([not duplicates.is_near(of_photo, self._seen) for of_photo in hashes], dtype=bool)
        sha256s = [self._build.data.sha256s[row] for row in rows]
        scores = []
        for model, remembered, score in (
            ("fast", self._photos.known.fast_scores, self.fast),
            ("accurate", self._photos.known.accurate_scores, self.accurate),
        ):
            found = self._stored.of(model, sha256s)
            by_twin = np.isnan(found) & (twins >= 0)
            found[by_twin] = remembered[twins[by_twin]]
            by_itself = np.isnan(found) & unseen
            found[by_itself] = score(rows[by_itself])
            scores.append(found)
        return scores[0], scores[1]


def disjoint(clusters: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """The clusters renumbered so that no number occurs in `others`."""
    return np.asarray(clusters + (int(others.max()) + 1 if len(others) else 0), dtype=np.int64)
