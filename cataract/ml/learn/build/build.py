"""Confirmed labels -> a release: embed, fit, calibrate, measure, write. Read `build_release` top to bottom.

A build of kind "fast" never imports torch. No build is given the test split.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.fast import FastModel
from cataract.ml.encoding.framing import Framing
from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.build.distillation import make_soft_labels
from cataract.ml.learn.build.embedding_cache import EmbeddedPhotos, embed_photos
from cataract.ml.learn.build.golden import write_golden
from cataract.ml.learn.build.model_card import write_card
from cataract.ml.learn.build.rehearsal import Rehearsal
from cataract.ml.learn.build.release_metrics import flatten_metrics, measure_release
from cataract.ml.learn.build.score_cache import ScoreCache
from cataract.ml.learn.build.workspace import Build, staging_folder
from cataract.ml.learn.fit.calibrate import HeldOut, calibrate
from cataract.ml.learn.fit.fast import FastFit, fit_fast
from cataract.ml.learn.fit.quantise import quantise_if_safe
from cataract.ml.learn.fit.soft_labels import SoftLabels
from cataract.ml.learn.packages import has_torch
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.release.description import ReleaseDescription
from cataract.ml.release.manifest import Manifest, draft_manifest, write_json, write_manifest
from cataract.ml.release.seen import read_seen

_OUT_OF_FOLD = 3  # folds of the accurate model, where calibration needs the training split too


class LightInstall(ImportError):
    """torch is not installed: only the fast model can be trained here."""


def build_release(
    out_dir: Path, base: Path, data: TrainingData, config: BuildConfig, reporter: Reporter = SILENT
) -> Manifest:
    """Build a release in `out_dir` (new, or an empty folder) with the encoder of the release in `base`.

    The folder appears complete or not at all. The same data, base and configuration give the same release on the same
    machine, also when the build was killed and resumes from `config.checkpoint`.
    Raises ReleaseCorrupt (base), ValueError (data), LightInstall, Cancelled.
    """
    _check(out_dir, data, config)
    with staging_folder(out_dir) as folder:
        build = Build.begin(folder, base, data, config, reporter)
        build.copy_encoder()
        cascade = Cascade.assemble(base, build.base_manifest)
        photos = embed_photos(cascade, data.paths, data.sha256s, config.cache, stored=data.vectors, reporter=reporter)
        rehearsal = Rehearsal.load(base, cascade.spec.dim).without(photos.hashes)
        rehearsal.save(folder)
        soft_labels = None
        if config.trains_fast:
            soft_labels = make_soft_labels(cascade, config.distillation, build.checkpoint, reporter)

        build.enter("fast", f"searching the fast model's parameters, {config.trials} trials")
        fast = _fit_fast(build, photos, rehearsal, soft_labels)
        build.enter("accurate", "fine-tuning the accurate model")
        accurate_oof = _fit_accurate(build)

        build.enter("calibration", "setting the thresholds")
        held_out = _held_out(build, photos, rehearsal, fast, accurate_oof)
        description = _calibrate(build, photos, held_out, fast)
        if config.trains_accurate:  # a build of the fast model keeps the encoder, and with it all stored embeddings
            build.enter("quantisation", "comparing answers with 8-bit weights")
            quantisation = quantise_if_safe(folder, description, data.calibration_photos(reporter), reporter)
            description = replace(description, quantisation=quantisation)
        build.enter("writing", "golden predictions and manifest")
        write_golden(folder, description)
        reporter.check_stop()
        manifest = write_manifest(folder, description)
    reporter.progress("writing", 1.0, f"release {manifest.id}")
    return manifest


def _check(out_dir: Path, data: TrainingData, config: BuildConfig) -> None:
    if config.trains_accurate and not has_torch():
        raise LightInstall("The accurate model cannot be trained here: torch is not installed.")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ValueError(f"{out_dir.name} is there already; a release is built in a new or an empty folder.")
    data.check()


def _fit_fast(
    build: Build, photos: EmbeddedPhotos, rehearsal: Rehearsal, soft_labels: SoftLabels | None
) -> FastFit | None:
    """Fit and write fast.txt, on the training split and the rehearsal photos; None when the base's is kept."""
    if not build.config.trains_fast:
        build.copy("fast.txt")
        return None
    data, config = build.data, build.config
    train = data.rows("train")
    y = np.concatenate([data.y[train], rehearsal.y])
    fit = fit_fast(
        np.concatenate([photos.vectors[train], rehearsal.vectors]),
        y,
        np.concatenate([data.clusters[train], _disjoint(rehearsal.clusters, data.clusters)]),
        _balanced(np.concatenate([data.cluster_weights(train), rehearsal.weights]), y),
        soft_labels=soft_labels,
        trials=config.trials,
        seconds=config.seconds,
        seed=config.seed,
        checkpoint=build.checkpoint,
        reporter=build.reporter,
    )
    (build.folder / "fast.txt").write_text(fit.text, encoding="utf-8")
    return fit


def _fit_accurate(build: Build) -> Floats | None:
    """Fit and write accurate.onnx; out-of-fold scores of the training split where calibration needs them, else None."""
    if not build.config.trains_accurate:
        build.copy("accurate.onnx")
        return None
    from cataract.ml.learn.fit.accurate import fit_accurate  # torch

    data, config = build.data, build.config
    train = data.rows("train")
    fit = fit_accurate(
        build.base,
        data.thumbnails(train, Framing.of(build.base)),
        data.y[train],
        data.clusters[train],
        data.cluster_weights(train),
        epochs=config.epochs,
        seed=config.seed,
        folds=0 if data.calibration_suffices else _OUT_OF_FOLD,
        checkpoint=build.checkpoint,
        reporter=build.reporter,
    )
    (build.folder / "accurate.onnx").write_bytes(fit.onnx)
    return fit.oof_scores if len(fit.oof_scores) else None


def _held_out(
    build: Build, photos: EmbeddedPhotos, rehearsal: Rehearsal, fast: FastFit | None, accurate_oof: Floats | None
) -> HeldOut:
    """Scores of photos by models that have not seen them: the calibration split; where that is too small also the
    training split and the rehearsal photos, by cross-fitting. Raises Cancelled."""
    data, cache = build.data, build.config.cache
    model = FastModel((build.folder / "fast.txt").read_text(encoding="utf-8"), dim=photos.vectors.shape[1])
    accurate = ScoreCache(_uncalibrated(build), cache.with_name("scores.npz") if cache else None)

    def accurate_scores(rows: NDArray[np.int64]) -> Floats:
        paths, sha256s = [data.paths[row] for row in rows], [data.sha256s[row] for row in rows]
        return accurate.scores(paths, sha256s, build.reporter)

    own = data.rows("calibration")
    fast_scores = model.score(photos.vectors[own]) if len(own) else np.zeros(0, dtype=np.float32)
    note = f"{_NOTE_OWN}: {data.calibration}"
    held_out = HeldOut(fast_scores, accurate_scores(own), data.y[own], data.clusters[own], note)
    if not data.calibration_suffices:
        train = data.rows("train")
        n = len(train)
        train_fast = fast.oof_scores[:n] if fast is not None else model.score(photos.vectors[train])
        train_accurate = accurate_oof if accurate_oof is not None else accurate_scores(train)
        rehearsal_fast = fast.oof_scores[n:] if fast is not None else rehearsal.fast_scores
        rehearsal_clusters = _disjoint(rehearsal.clusters, data.clusters)
        held_out = HeldOut(
            np.concatenate([held_out.fast, train_fast, rehearsal_fast]),
            np.concatenate([held_out.accurate, train_accurate, rehearsal.accurate_scores]),
            np.concatenate([held_out.y, data.y[train], rehearsal.y]),
            np.concatenate([held_out.clusters, data.clusters[train], rehearsal_clusters]),
            _NOTE_POOLED,
        )
    accurate.save()
    return held_out


_NOTE_OWN = "the calibration split of this installation"
_NOTE_POOLED = (
    "the calibration split was too small by itself, so the training split and the photos of the base release were "
    "added, scored by models of other folds (cross-fitting)"
)


def _uncalibrated(build: Build) -> Cascade:
    """The new models before their calibration, which does not change raw scores."""
    identity = {"kind": "temperature", "temperature": 1.0}
    base = build.base_manifest
    write_json(build.folder / "calibration.json", {"fast": identity, "accurate": identity})
    write_json(build.folder / "policy.json", base.policy)
    draft = ReleaseDescription(name="draft", encoder=base.encoder, accurate=base.accurate)
    return Cascade.assemble(build.folder, draft_manifest(build.folder, draft))


def _calibrate(build: Build, photos: EmbeddedPhotos, held_out: HeldOut, fast: FastFit | None) -> ReleaseDescription:
    """Write calibration, policy, metrics, hashes and card; return what the manifest will say. Raises Cancelled."""
    folder, config, base = build.folder, build.config, build.base_manifest
    curves, policy = calibrate(held_out, config.limits, config.prevalence)
    figures = measure_release(held_out, curves, policy, build.reporter)
    write_json(folder / "calibration.json", curves)
    write_json(folder / "policy.json", policy)
    write_json(folder / "metrics.json", figures)
    write_json(folder / "seen.json", {"hashes": _seen(build.base, photos)})
    facts = _facts(build, held_out) | ({"distillation": fast.ablation} if fast and fast.ablation else {})
    write_card(folder, base=base, policy=policy, figures=figures, facts=facts, note=held_out.note)
    return ReleaseDescription(
        name=config.name,
        encoder=base.encoder,
        accurate=base.accurate,
        quantisation=base.quantisation,
        metrics=flatten_metrics(figures),
        data=facts,
        base=base.id,
    )


def _facts(build: Build, held_out: HeldOut) -> dict[str, Any]:
    train = build.data.rows("train")
    return {
        "kind": build.config.kind,
        "train_photos": len(train),
        "train_clusters": len(np.unique(build.data.clusters[train])),
        "train_cataract": int(build.data.y[train].sum()),
        "calibration_clusters": len(np.unique(held_out.clusters)),
        "calibrated_on": held_out.note,
    }


def _seen(base: Path, photos: EmbeddedPhotos) -> list[str]:
    """The hashes of all photos on which this release or an earlier one was fitted or calibrated."""
    return sorted({*read_seen(base), *(hashes[0] for hashes in photos.hashes)})


def _balanced(weights: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weights scaled so that both classes weigh the same and the mean weight is 1."""
    of_class = np.bincount(y, weights, minlength=2)
    return np.asarray(weights / of_class[y] * len(y) / 2, dtype=np.float64)


def _disjoint(clusters: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """The clusters renumbered so that no number occurs in `others`."""
    return np.asarray(clusters + (int(others.max()) + 1 if len(others) else 0), dtype=np.int64)
