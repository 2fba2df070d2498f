"""Build the starter release from folders of public eye photos. Read `build_starter` top to bottom.

The first folder is the clean set: the fast model is fitted on it, and both models are calibrated and measured on it by
cluster. The second kind of folder (offline augmentations, noisy labels) trains the encoder with its head, which is the
accurate model; their copies of clean photos are left out. Photos of other sources train everything too. What the
release does on sources that it never saw is measured by the same build without them, and both its calibration and its
thresholds rest on those scores.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.cascade.risk import RiskLimits
from cataract.ml.learn.build.calibrate import HeldOut, calibrate
from cataract.ml.learn.build.release_metrics import flatten_metrics
from cataract.ml.learn.golden import write_golden
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.starter import evaluation, model_card
from cataract.ml.learn.starter.clean_set import PREVALENCE
from cataract.ml.learn.starter.collection import DRAWN, Collection, collect, find_clusters
from cataract.ml.learn.starter.encoder import VIEWS, train_base
from cataract.ml.learn.starter.left_out import groups, measure_left_out, pool
from cataract.ml.learn.starter.models import Models, fit_models
from cataract.ml.learn.towers.quantise import quantise_if_safe
from cataract.ml.learn.vectors.rehearsal import Rehearsal
from cataract.ml.release.description import AccurateSpec, ReleaseDescription
from cataract.ml.release.manifest import Manifest, draft_manifest, write_json, write_manifest

# What one core of a 2026 server trains on in a minute. It turns `minutes` into a number of steps: the result depends
# on the argument, not on how busy the machine is.
_STEPS_A_MINUTE = 200
# The second stage, which four models go through: the release and one for each group of sources that is left out.
_FURTHER_STEPS = 1500


@dataclass(frozen=True)
class StarterConfig:
    """minutes: for the base encoder, on one undisturbed core. trials: of the search for the fast model. start: an
    earlier starter release whose encoder is the base, and whose test photos stay test photos. limits: what the
    automatic answers promise."""

    seed: int = 0
    minutes: float = 50
    further_steps: int = _FURTHER_STEPS
    trials: int = 30
    start: Path | None = None
    limits: RiskLimits = field(default_factory=lambda: RiskLimits(missed=0.05))


def build_starter(
    folders: Sequence[Path], others: Path | None, out: Path, config: StarterConfig, reporter: Reporter = SILENT
) -> Manifest:
    """Build the starter release in `out` (replaced when it exists) from folders that hold `normal/` and `cataract/`.

    others: a folder with one folder a source (see `labels`). The parts are kept in `<out>.parts` until the end: a build
    that was stopped resumes there. Raises ValueError when a folder does not hold what is needed, ReleaseCorrupt,
    Cancelled.
    """
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    photos = collect(folders, others, reporter)
    clusters = find_clusters(photos, parts, reporter)
    steps = max(1, round(config.minutes * _STEPS_A_MINUTE))
    base = train_base(photos, clusters, parts, start=config.start, seed=config.seed, steps=steps, reporter=reporter)

    def fit(folder: Path, left_out: Sequence[str]) -> Models:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return fit_models(
            photos,
            clusters,
            base,
            folder,
            left_out,
            start=config.start,
            seed=config.seed,
            steps=config.further_steps,
            trials=config.trials,
            reporter=reporter,
        )

    without = [fit(parts / f"without-{number}", group) for number, group in enumerate(groups(photos.other_sources))]
    release = fit(parts / "release", ())
    manifest = _assemble(photos, clusters, release, without, config, reporter)
    shutil.rmtree(out, ignore_errors=True)
    release.folder.replace(out)
    shutil.rmtree(parts)
    reporter.progress("done", 1.0, f"{manifest.id} in {out.name}")
    return manifest


def _assemble(
    photos: Collection,
    clusters: NDArray[np.int64],
    release: Models,
    without: Sequence[Models],
    config: StarterConfig,
    reporter: Reporter,
) -> Manifest:
    """Everything after the models: calibrate, measure, and complete the release in its folder."""
    folder = release.folder
    held = pool(release, without, _NOTE)
    curves, policy = calibrate(held, config.limits, PREVALENCE)
    write_json(folder / "calibration.json", curves)
    write_json(folder / "policy.json", policy)
    write_json(folder / "seen.json", {"hashes": _seen(photos, clusters, release.clean.clusters[release.test])})
    _rehearse(release, without, held)

    facts = _facts(photos, clusters, release)
    spec = release.clean.spec
    description = ReleaseDescription(name="starter", encoder=spec, accurate=AccurateSpec(VIEWS), data=facts)
    fitted = (release.clean.pixels[row] for row in np.flatnonzero(release.fitted))
    description = replace(description, quantisation=quantise_if_safe(folder, description, fitted, reporter))
    write_golden(folder, description)

    reporter.progress("card", 0.0, "measuring on the photos that nothing was fitted on")
    cascade = Cascade.assemble(folder, draft_manifest(folder, description))
    figures = evaluation.measure(release, held, cascade, config.limits, config.seed)
    figures["left_out"] = measure_left_out(photos, release, without, config.limits, reporter)
    write_json(folder / "metrics.json", figures)
    model_card.write(folder, policy=policy, figures=figures, facts=facts)
    return write_manifest(folder, replace(description, metrics=flatten_metrics(figures)))


def _rehearse(release: Models, without: Sequence[Models], held: HeldOut) -> None:
    """Keep one embedding of each cluster, with the scores that were held out, which are in the order of `held`."""
    clean = release.clean
    home = np.flatnonzero(release.fitted & release.at_home)
    rows = np.concatenate([home, *(np.flatnonzero(models.is_left_out) for models in without)])
    one = np.unique(held.clusters, return_index=True)[1]
    hashes, weights = np.array([clean.hashes[row] for row in rows[one]]), np.ones(len(one))
    single = held.take(one)
    kept = Rehearsal(clean.vectors[rows[one]], single.y, single.clusters, weights, hashes, single.fast, single.accurate)
    kept.save(release.folder)


_NOTE = (
    "the clean set, each photo scored by a fast model of the other folds (grouped cross-fitting) and by an accurate "
    "model that saw none of it, and the photos of every other source, each scored by models that saw none of its source"
)


def _seen(photos: Collection, clusters: NDArray[np.int64], unseen: NDArray[np.int64]) -> list[str]:
    """The hashes of every photo of a cluster on which anything was fitted, encoder included."""
    fitted = np.isin(clusters, np.unique(unseen), invert=True)
    return sorted({photos.hashes[row][0] for row in np.flatnonzero(fitted)})


def _facts(photos: Collection, clusters: NDArray[np.int64], release: Models) -> dict[str, Any]:
    clean, noisy = clusters[: photos.clean], clusters[photos.clean : photos.clean + photos.noisy]
    apart = ~np.isin(noisy, np.unique(clean))
    own = release.clean.take(np.flatnonzero(release.at_home))
    test = release.test[release.at_home]
    return {
        "photos": photos.clean,
        "clusters": len(np.unique(own.clusters)),
        "cataract_clusters": len(np.unique(own.clusters[own.y == 1])),
        "fitted_clusters": len(np.unique(own.clusters[~test])),
        "test_clusters": len(np.unique(own.clusters[test])),
        "encoder_photos": int(apart.sum()),
        "encoder_originals": len(np.unique(noisy[apart])),
        "encoder_copies_left_out": int((~apart).sum()),
        "drawn_eyes": 2 * DRAWN,
        "sources": {
            source: {
                "photos": int((photos.sources == source).sum()),
                "cataract": int((photos.y[photos.sources == source] == 1).sum()),
            }
            for source in photos.other_sources
        },
    }
