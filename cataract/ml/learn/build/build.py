"""Confirmed labels -> a release: embed, fit, calibrate, measure, write. Read `build_release` top to bottom.

A build of kind "fast" needs no torch. No build is given the test split.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.framing import Framing
from cataract.ml.learn.build.calibrate import HeldOut, calibrate
from cataract.ml.learn.build.config import BuildConfig
from cataract.ml.learn.build.data import TrainingData
from cataract.ml.learn.build.data_warnings import training_warnings
from cataract.ml.learn.build.distillation import make_soft_labels
from cataract.ml.learn.build.held_out import Judged, Photos, Refitted, disjoint, judge
from cataract.ml.learn.build.model_card import write_card
from cataract.ml.learn.build.release_metrics import flatten_metrics, measure_release
from cataract.ml.learn.build.verdict import compare_with_base
from cataract.ml.learn.build.workspace import Build, staging_folder
from cataract.ml.learn.fast.fit import FastFit, fit_fast
from cataract.ml.learn.fast.soft_labels import SoftLabels
from cataract.ml.learn.golden import write_golden
from cataract.ml.learn.packages import has_torch
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.towers.quantise import quantise_if_safe
from cataract.ml.learn.vectors.changed_copies import embed_copies
from cataract.ml.learn.vectors.embedding_cache import EmbeddedPhotos, embed_photos
from cataract.ml.learn.vectors.rehearsal import Rehearsal
from cataract.ml.release.description import ReleaseDescription
from cataract.ml.release.manifest import Manifest, draft_manifest, write_json, write_manifest
from cataract.ml.release.seen import read_seen

if TYPE_CHECKING:
    from cataract.ml.learn.accurate.fit import AccurateFit  # torch

_OUT_OF_FOLD = 3  # folds of the accurate model, where calibration needs the training split too
_REPEATS = 3  # foldings, each with another seed, that say how much the accurate model's figures vary


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
        known = Rehearsal.load(base, cascade.spec.dim)
        rehearsal = known.without(photos.hashes)
        soft_labels = None
        if config.trains_fast:
            soft_labels = make_soft_labels(cascade, config.distillation, build.checkpoint, reporter)

        if config.trains_fast:
            build.enter("fast", f"searching the fast model's parameters, {config.trials} trials")
        fast = _fit_fast(build, cascade, photos, rehearsal, soft_labels)
        if config.trains_accurate:
            build.enter("accurate", "fine-tuning the accurate model")
        accurate = _fit_accurate(build)

        build.enter("calibration", "setting the thresholds")
        refitted = Refitted(fast.oof_scores if fast else None, accurate.oof_scores if accurate else None)
        judged = judge(build, Photos(photos, rehearsal, known), refitted, _uncalibrated(build))
        description = _calibrate(build, photos, judged, fast, accurate)
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
    build: Build, cascade: Cascade, photos: EmbeddedPhotos, rehearsal: Rehearsal, soft_labels: SoftLabels | None
) -> FastFit | None:
    """Fit and write fast.txt, on the training split with changed copies and on the rehearsal photos; None when the
    base's is kept. Its out-of-fold scores are of the photos in this order."""
    if not build.config.trains_fast:
        build.copy("fast.txt")
        return None
    data, config = build.data, build.config
    train = data.rows("train")
    copies = embed_copies(
        cascade,
        [data.paths[row] for row in train],
        [data.sha256s[row] for row in train],
        config.cache.with_name("copies.npz") if config.cache else None,
        build.reporter,
    )
    y = np.concatenate([data.y[train], rehearsal.y])
    clusters = np.concatenate([data.clusters[train], disjoint(rehearsal.clusters, data.clusters)])
    weights = np.concatenate([data.cluster_weights(train) / data.weights[train].mean(), rehearsal.weights])
    weights /= 1 + np.bincount(copies.of, minlength=len(y))  # a photo and its copies weigh as one
    rows = np.concatenate([np.arange(len(y)), copies.of])
    fit = fit_fast(
        np.concatenate([photos.vectors[train], rehearsal.vectors, copies.vectors]),
        y[rows],
        clusters[rows],
        _balanced(weights[rows], y[rows]),
        copies=len(copies.of),
        linear=True,
        soft_labels=soft_labels,
        method=config.search,
        trials=config.trials,
        seconds=config.seconds,
        seed=config.seed,
        checkpoint=build.checkpoint,
        reporter=build.reporter,
    )
    (build.folder / "fast.txt").write_text(fit.text, encoding="utf-8")
    return fit


def _fit_accurate(build: Build) -> "AccurateFit | None":
    """Fit and write accurate.onnx on the training split; None when the base's is kept. No out-of-fold scores where
    calibration does not need them."""
    if not build.config.trains_accurate:
        build.copy("accurate.onnx")
        return None
    from cataract.ml.learn.accurate.fit import fit_accurate  # torch

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
        repeats=_REPEATS,
        device=config.device,
        checkpoint=build.checkpoint,
        reporter=build.reporter,
    )
    (build.folder / "accurate.onnx").write_bytes(fit.onnx)
    return fit


def _uncalibrated(build: Build) -> Cascade:
    """The new models before their calibration, which does not change raw scores."""
    identity = {"kind": "temperature", "temperature": 1.0}
    base = build.base_manifest
    write_json(build.folder / "calibration.json", {"fast": identity, "accurate": identity})
    write_json(build.folder / "policy.json", base.policy)
    draft = ReleaseDescription(name="draft", encoder=base.encoder, accurate=base.accurate)
    return Cascade.assemble(build.folder, draft_manifest(build.folder, draft))


def _calibrate(
    build: Build, photos: EmbeddedPhotos, judged: Judged, fast: FastFit | None, accurate: "AccurateFit | None"
) -> ReleaseDescription:
    """Write calibration, policy, metrics, hashes and card; return what the manifest will say. Raises Cancelled."""
    folder, config, base, held_out = build.folder, build.config, build.base_manifest, judged.new
    curves, policy = calibrate(held_out, config.limits, config.prevalence)
    figures = measure_release(held_out, policy, build.reporter)
    write_json(folder / "calibration.json", curves)
    write_json(folder / "policy.json", policy)
    write_json(folder / "metrics.json", figures)
    write_json(folder / "seen.json", {"hashes": _seen(build.base, photos)})
    verdict = compare_with_base(build, judged, policy)
    facts = _facts(build, held_out) | ({"distillation": fast.ablation} if fast and fast.ablation else {})
    if fast is not None:
        facts["fast_model"] = {"candidates": fast.candidates, "repeats": fast.repeats, "params": fast.params}
    if accurate is not None:
        facts["accurate_model"] = {"fine_tuned_share": accurate.share, "repeats": accurate.repeats}
    facts["warnings"] = training_warnings(build.data, photos)
    if accurate is not None and accurate.ran_out_of_time:
        facts["warnings"].append(accurate.ran_out_of_time)
    facts["against_base"] = verdict.as_json()
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
