"""Build the starter release from folders of public eye photos. Read `build_starter` top to bottom.

The first folder is the clean set: the fast model is fitted on it, and both models are calibrated and measured on it.
The other folders (offline augmentations, noisy labels) train the encoder with its head, which is the accurate model;
their copies of clean photos are left out. The encoder has never seen a photo on which anything is measured, and
cross-validation is honest without refitting it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.golden import write_golden
from cataract.ml.learn.build.rehearsal import Rehearsal
from cataract.ml.learn.build.release_metrics import flatten_metrics
from cataract.ml.learn.fit.calibrate import HeldOut, calibrate
from cataract.ml.learn.fit.fast import fit_fast
from cataract.ml.learn.fit.quantise import quantise_if_safe
from cataract.ml.learn.fit.towers import TailWithHead
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.starter import evaluation, model_card
from cataract.ml.learn.starter.clean_set import (
    CONFIDENCE,
    PREVALENCE,
    AugmentedSet,
    CleanSet,
    choose_test_photos,
    cluster_weights,
    embed_clean_set,
)
from cataract.ml.learn.starter.collection import DRAWN, Collection, collect, find_clusters
from cataract.ml.learn.starter.encoder import VIEWS, export_encoder, train_encoder
from cataract.ml.learn.starter.photo_gate import OUTLIERS, fit_photo_gate
from cataract.ml.release.description import AccurateSpec, ReleaseDescription
from cataract.ml.release.manifest import Manifest, draft_manifest, read_file, verify, write_json, write_manifest

# What one core of a 2026 server trains on in a minute. It turns `minutes` into a number of steps: the result depends
# on the argument, not on how busy the machine is.
_STEPS_A_MINUTE = 200
_GATE_OTHERS, _GATE_OUTLIERS = 500, OUTLIERS  # photos of the other folders, and synthetic outliers, that fit the gate


@dataclass(frozen=True)
class StarterConfig:
    """minutes: for the encoder, on one undisturbed core. trials: of the search for the fast model. start: an earlier
    starter release whose encoder is trained further, and whose test photos stay test photos."""

    seed: int = 0
    minutes: float = 50
    trials: int = 30
    start: Path | None = None


def build_starter(folders: Sequence[Path], out: Path, config: StarterConfig, reporter: Reporter = SILENT) -> Manifest:
    """Build the starter release in `out` (replaced when it exists) from folders that hold `normal/` and `cataract/`.

    The parts are kept in `<out>.parts` until the end: a build that was stopped resumes there. Raises ValueError when a
    folder does not hold what is needed, ReleaseCorrupt, Cancelled.
    """
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    photos = collect(folders, reporter)
    clusters = find_clusters(photos, parts, reporter)
    steps = max(1, round(config.minutes * _STEPS_A_MINUTE))
    network = train_encoder(
        photos, clusters, parts, start=config.start, seed=config.seed, steps=steps, reporter=reporter
    )
    folder = parts / "release"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    manifest = _assemble(folder, photos, clusters, network, config, reporter)
    shutil.rmtree(out, ignore_errors=True)
    folder.replace(out)
    shutil.rmtree(parts)
    reporter.progress("done", 1.0, f"{manifest.id} in {out.name}")
    return manifest


def _assemble(
    folder: Path,
    photos: Collection,
    clusters: NDArray[np.int64],
    network: TailWithHead,
    config: StarterConfig,
    reporter: Reporter,
) -> Manifest:
    """Everything after the encoder: fit, calibrate, measure, and write the release into the empty `folder`."""
    spec = export_encoder(network, folder)
    clean = embed_clean_set(photos, clusters, folder, spec, reporter)
    test = choose_test_photos(clean, config.start, config.seed)
    held_out = _fit_fast(clean, ~test, folder, config, reporter)
    curves, policy = calibrate(held_out, RiskLimits(confidence=CONFIDENCE), PREVALENCE)
    write_json(folder / "calibration.json", curves)
    write_json(folder / "policy.json", policy)
    write_json(folder / "gate.json", _gate(photos, clusters, clean, ~test, config, reporter))
    write_json(folder / "seen.json", {"hashes": _seen(photos, clusters, clean.clusters[test])})

    facts = _facts(photos, clusters, test)
    description = ReleaseDescription(name="starter", encoder=spec, accurate=AccurateSpec(VIEWS), data=facts)
    fitted = (clean.pixels[row] for row in np.flatnonzero(~test))
    description = replace(description, quantisation=quantise_if_safe(folder, description, fitted, reporter))
    write_golden(folder, description)

    reporter.progress("card", 0.0, "measuring on the photos that nothing was fitted on")
    cascade = Cascade.assemble(folder, draft_manifest(folder, description))
    figures = evaluation.measure(clean, test, held_out, cascade, folder, config.seed)
    write_json(folder / "metrics.json", figures)
    model_card.write(folder, policy=policy, figures=figures, facts=facts)
    return write_manifest(folder, replace(description, metrics=flatten_metrics(figures)))


def _fit_fast(
    clean: CleanSet, chosen: NDArray[np.bool_], folder: Path, config: StarterConfig, reporter: Reporter
) -> HeldOut:
    """Fit the fast model on the chosen photos and write it; return these photos' scores by models without them."""
    rows = np.flatnonzero(chosen)
    data = AugmentedSet.of(clean, rows)
    reporter.progress("fast", 0.0, f"searching the fast model's parameters, {config.trials} trials")
    fit = fit_fast(
        data.x,
        data.y,
        data.clusters,
        data.weights,
        trials=config.trials,
        seconds=float("inf"),
        seed=config.seed,
        reporter=reporter,
    )
    (folder / "fast.txt").write_text(fit.text, encoding="utf-8")
    y, clusters, hashes = clean.y[rows], clean.clusters[rows], np.array([clean.hashes[row] for row in rows])
    fast, accurate = fit.oof_scores[: len(rows)], clean.scores[rows]
    Rehearsal(clean.vectors[rows], y, clusters, cluster_weights(clusters), hashes, fast, accurate).save(folder)
    return HeldOut(fast, accurate, y, clusters, _NOTE)


def _gate(
    photos: Collection,
    clusters: NDArray[np.int64],
    clean: CleanSet,
    chosen: NDArray[np.bool_],
    config: StarterConfig,
    reporter: Reporter,
) -> dict[str, Any]:
    """The gate of `config.start`: it does not depend on the encoder and has seen no test photo.

    Without one it is fitted on the chosen photos, and on photos of the other folders that are not copies of clean ones.
    """
    if config.start is not None:
        gate = dict(json.loads(read_file(config.start, verify(config.start), "gate.json")))
        if "eye" in gate:  # older releases lack the eye check
            return gate
    rows = np.flatnonzero(chosen)
    others = np.flatnonzero(~np.isin(clusters, clusters[: photos.clean]))
    drawn = np.random.default_rng(config.seed).choice(others, size=min(_GATE_OTHERS, len(others)), replace=False)
    return fit_photo_gate(
        [clean.pixels[row] for row in rows],
        clean.clusters[rows],
        others=[photos.pixels[row] for row in drawn],
        outliers=_GATE_OUTLIERS,
        seed=config.seed,
        reporter=reporter,
    )


_NOTE = (
    "the photos the fast model was fitted on, each scored by a fast model of the other folds (grouped cross-fitting) "
    "and by the accurate model, which was fitted on none of them"
)


def _seen(photos: Collection, clusters: NDArray[np.int64], unseen: NDArray[np.int64]) -> list[str]:
    """The hashes of every photo of a cluster on which anything was fitted, encoder included."""
    fitted = np.isin(clusters, np.unique(unseen), invert=True)
    return sorted({photos.hashes[row][0] for row in np.flatnonzero(fitted)})


def _facts(photos: Collection, clusters: NDArray[np.int64], test: NDArray[np.bool_]) -> dict[str, Any]:
    clean, others = clusters[: photos.clean], clusters[photos.clean :]
    apart = ~np.isin(others, np.unique(clean))
    return {
        "photos": photos.clean,
        "clusters": len(np.unique(clean)),
        "cataract_clusters": len(np.unique(clean[photos.y[: photos.clean] == 1])),
        "fitted_clusters": len(np.unique(clean[~test])),
        "test_clusters": len(np.unique(clean[test])),
        "encoder_photos": int(apart.sum()),
        "encoder_originals": len(np.unique(others[apart])),
        "encoder_copies_left_out": int((~apart).sum()),
        "drawn_eyes": 2 * DRAWN,
    }
