"""Confirmed labels -> a release: fit, calibrate, set the policy, write the folder. Read `build_release` top to bottom.

Nothing in the path of kind "fast" imports torch. The test split is never given to a build.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.learn.build.card import write_card
from cataract.ml.learn.build.distillation import Teaching, teach
from cataract.ml.learn.build.photo_vectors import Copies, Read, read_photos
from cataract.ml.learn.build.rehearsal import Rehearsal
from cataract.ml.learn.build.scoring import Scorer
from cataract.ml.learn.fit.calibrate import HeldOut, calibrate, final_probability, probabilities
from cataract.ml.learn.fit.checkpoint import Checkpoint
from cataract.ml.learn.fit.fast import Cancelled, FastFit, Taught, ask, fit_fast
from cataract.ml.learn.fit.quantise import golden_tolerance, quantise_if_safe
from cataract.ml.photos import images
from cataract.ml.release.manifest import Manifest, draft_manifest, verify, write_json, write_manifest
from cataract.ml.statistics import metrics
from cataract.ml.synthetic import render_eye

__all__ = ["KINDS", "Cancelled", "LightInstall", "Teaching", "TrainingData", "build_release"]

KINDS = ("fast", "accurate", "both")
# With fewer calibration clusters of a class the photos of the training split are calibrated on too, by cross-fitting.
MIN_CALIBRATION = 30
_CARRIED = ("trunk.onnx", "embed.onnx", "gate.json", "encoder.safetensors", "open_clip.json", "start.safetensors")

OnProgress = Callable[[str, float, str], None]


class LightInstall(ImportError):
    """torch is not installed; the message says how to add it."""


@dataclass(frozen=True)
class TrainingData:
    """Labelled photos of one frozen dataset, one entry each: stored file, its sha256, truth (1 is cataract), cluster,
    split ("train" or "calibration"; other splits are refused) and weight. vectors: what the base's encoder made of some
    of them, by sha256, (D,) each: those are not encoded again."""

    paths: Sequence[Path]
    sha256s: Sequence[str]
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    splits: Sequence[str]
    weights: NDArray[np.float64]
    vectors: Mapping[str, Floats] = field(default_factory=dict)


def build_release(
    out_dir: Path,
    base: Path,
    dataset: TrainingData,
    *,
    kind: str = "both",
    seed: int = 0,
    trials: int = 20,
    seconds: float = 600.0,
    epochs: int = 40,
    max_error: float = 0.05,
    confidence: float = 0.95,
    name: str = "retrained",
    teaching: Teaching | None = None,
    cache: Path | None = None,
    checkpoint: Path | None = None,
    on_progress: OnProgress = lambda stage, fraction, message: None,
    on_metrics: Callable[[dict[str, Any], int], None] = lambda values, step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Manifest:
    """Build a release in `out_dir` (new, or an empty folder) with the encoder of the release in `base`.

    kind: which model is fitted; the other one is the base's, and both are calibrated anew. `trials` and `seconds` bound
    the search for the fast model, `epochs` the fine-tuning of the accurate one. The policy promises at most `max_error`
    among the automatic answers with `confidence`. The folder appears whole or not at all.

    `cache`: a file that keeps what the encoder made of the photos from one build to the next; beside it `scores.npz`
    keeps what the accurate model says of those that thresholds are set on. `checkpoint`: a folder
    from which a build that was killed goes on where it stopped; the caller removes it.

    Raises ReleaseCorrupt (base), ValueError (data), LightInstall, Cancelled.
    """
    _check(out_dir, dataset, kind)

    def begin(stage: str, message: str) -> None:
        ask(should_stop)
        on_progress(stage, 0.0, message)

    manifest = verify(base)
    if kind != "fast" and not (base / "encoder.safetensors").exists():
        raise ValueError(f"Release {manifest.id} carries no encoder to train from; train the fast model only.")
    cascade = Cascade.assemble(base, manifest)
    with _workplace(out_dir) as folder:
        for carried in _CARRIED:
            if (base / carried).exists():
                shutil.copyfile(base / carried, folder / carried)
        kept = Checkpoint.of(checkpoint, _question(manifest, dataset, teaching, (kind, seed, trials, seconds, epochs)))
        read = read_photos(cascade, dataset.paths, dataset.sha256s, cache, on_progress, should_stop, dataset.vectors)
        rehearsal = Rehearsal.load(base, cascade.spec.dim).without(read.hashes)
        rehearsal.save(folder)
        taught = teach(cascade, kept, teaching, on_progress, should_stop) if kind != "accurate" else None

        begin("fast", f"searching the fast model's parameters, {trials} trials")
        budget = _Budget(trials, seconds, epochs, seed)
        fast = _fit_fast(folder, base, read, dataset, rehearsal, kind, taught, budget, kept, on_metrics, should_stop)
        begin("accurate", "fine-tuning the accurate model")
        accurate_oof = _fit_accurate(folder, base, dataset, kind, budget, kept, on_metrics, should_stop)

        begin("calibration", "setting the thresholds")
        scorer = Scorer(_scorer(folder, manifest), cache.with_name("scores.npz") if cache else None)
        held = _held_out(folder, scorer, read, dataset, rehearsal, fast, accurate_oof, should_stop)
        scorer.save()
        curves, policy = calibrate(held, max_error=max_error, confidence=confidence)
        figures = _figures(held, curves, policy, should_stop)
        write_json(folder / "calibration.json", curves)
        write_json(folder / "policy.json", policy)
        write_json(folder / "metrics.json", figures)
        write_json(folder / "seen.json", {"hashes": _seen(base, read)})
        facts = _facts(dataset, held, kind) | ({"distillation": fast.ablation} if fast and fast.ablation else {})
        write_card(folder, base=manifest, policy=policy, figures=figures, facts=facts, note=held.note)

        described: dict[str, Any] = {
            "name": name,
            "encoder": manifest.encoder,
            "accurate": manifest.accurate,
            "quantisation": manifest.raw.get("quantisation", {}),
            "metrics": flat_figures(figures),
            "data": facts,
            "base": manifest.id,
        }
        if kind != "fast":  # a fast model alone keeps the encoder, and with it every stored embedding
            begin("quantisation", "comparing answers with 8-bit weights")
            photos = _calibration_photos(dataset, should_stop)
            described["quantisation"] = quantise_if_safe(folder, described, photos, should_stop)
        begin("writing", "golden predictions and manifest")
        write_golden(folder, described)
        ask(should_stop)
        result = write_manifest(folder, **described)
    on_progress("writing", 1.0, f"release {result.id}")
    return result


def write_golden(folder: Path, described: dict[str, Any]) -> None:
    """Write golden.json: what the release says of four drawn eyes, for every machine that will serve it."""
    photos = {f"eye-{seed}": render_eye(seed, opacity=opacity, size=160) for seed, opacity in _GOLDEN}
    cascade = Cascade.assemble(folder, draft_manifest(folder, **described))
    tolerance = golden_tolerance(described.get("quantisation", {}))
    write_json(folder / "golden.json", cascade.make_golden(photos, tolerance=tolerance))


_GOLDEN = ((11, 0.0), (12, 0.9), (13, 0.5), (14, 0.0))


def _check(out_dir: Path, dataset: TrainingData, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"A release is built of kind {', '.join(KINDS)}; not {kind!r}.")
    if kind != "fast" and importlib.util.find_spec("torch") is None:
        raise LightInstall(
            "The accurate model cannot be trained here: torch is not installed. Add the training set with "
            "`make install` (without LIGHT=1), or train the fast model only."
        )
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise ValueError(f"{out_dir.name} is there already; a release is built in a new or an empty folder.")
    others = sorted(set(dataset.splits) - {"train", "calibration"})
    if others:
        raise ValueError(f"A build must not see photos of the split {', '.join(others)}.")
    if set(np.unique(dataset.y[np.array(dataset.splits) == "train"])) != {0, 1}:
        raise ValueError("The training split needs labelled photos of both classes.")


@contextmanager
def _workplace(out_dir: Path) -> Iterator[Path]:
    """A hidden folder beside `out_dir` that becomes it at the end, or vanishes."""
    folder = out_dir.with_name(f".{out_dir.name.lstrip('.')}.{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.replace(out_dir)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _question(
    base: Manifest, dataset: TrainingData, teaching: Teaching | None, options: tuple[Any, ...]
) -> dict[str, Any]:
    """All that the result of a build depends on: a checkpoint answers no other question."""
    rows = zip(dataset.sha256s, dataset.y.tolist(), dataset.clusters.tolist(), dataset.splits, strict=True)
    taught = [list(teaching.sha256s), teaching.weight, teaching.floor] if teaching else []
    return {
        "base": base.sha256,
        "rows": [list(row) for row in rows],
        "weights": dataset.weights.tolist(),
        "taught": taught,
        "options": list(options),
    }


@dataclass(frozen=True)
class _Budget:
    trials: int
    seconds: float
    epochs: int
    seed: int


def _fit_fast(
    folder: Path,
    base: Path,
    read: Read,
    dataset: TrainingData,
    rehearsal: Rehearsal,
    kind: str,
    taught: Taught | None,
    budget: _Budget,
    kept: Checkpoint,
    on_metrics: Callable[[dict[str, Any], int], None],
    should_stop: Callable[[], bool],
) -> FastFit | None:
    """Fit and write fast.txt, on the training split and what the base remembers; None when the base's is kept."""
    if kind == "accurate":
        shutil.copyfile(base / "fast.txt", folder / "fast.txt")
        return None
    train = _rows(dataset, "train")
    x = np.concatenate([read.vectors[train], rehearsal.vectors])
    y = np.concatenate([dataset.y[train], rehearsal.y])
    groups = np.concatenate([dataset.clusters[train], _apart(rehearsal.clusters, dataset.clusters)])
    weights = np.concatenate([_per_cluster(dataset, train), rehearsal.weights])
    fit = fit_fast(
        x,
        y,
        groups,
        balanced(weights, y),
        taught=taught,
        trials=budget.trials,
        seconds=budget.seconds,
        seed=budget.seed,
        checkpoint=kept,
        on_trial=lambda trial: on_metrics(trial, int(trial["trial"])),
        should_stop=should_stop,
    )
    (folder / "fast.txt").write_text(fit.text, encoding="utf-8")
    return fit


def _fit_accurate(
    folder: Path,
    base: Path,
    dataset: TrainingData,
    kind: str,
    budget: _Budget,
    kept: Checkpoint,
    on_metrics: Callable[[dict[str, Any], int], None],
    should_stop: Callable[[], bool],
) -> Floats | None:
    """Fit and write accurate.onnx; out-of-fold scores of the training split where calibration needs them, else None."""
    if kind == "fast":
        shutil.copyfile(base / "accurate.onnx", folder / "accurate.onnx")
        return None
    from cataract.ml.learn.fit.accurate import fit_accurate  # torch

    train = _rows(dataset, "train")
    fit = fit_accurate(
        base,
        Copies([dataset.paths[row] for row in train]),
        dataset.y[train],
        dataset.clusters[train],
        _per_cluster(dataset, train),
        epochs=budget.epochs,
        seed=budget.seed,
        folds=0 if _enough(dataset) else 3,
        checkpoint=kept,
        on_epoch=lambda values: on_metrics(values, int(values["epoch"])),
        should_stop=should_stop,
    )
    (folder / "accurate.onnx").write_bytes(fit.onnx)
    return fit.oof_scores if len(fit.oof_scores) else None


def _held_out(
    folder: Path,
    scorer: Scorer,
    read: Read,
    dataset: TrainingData,
    rehearsal: Rehearsal,
    fast: FastFit | None,
    accurate_oof: Floats | None,
    should_stop: Callable[[], bool],
) -> HeldOut:
    """Scores of photos by models that have not seen them: the calibration split, and where it is too small also the
    training split and the base's photos, by cross-fitting."""
    from cataract.ml.cascade.fast import FastModel

    booster = FastModel((folder / "fast.txt").read_text(encoding="utf-8"), dim=read.vectors.shape[1])
    rows = _rows(dataset, "calibration")

    def accurate_of(chosen: NDArray[np.int64]) -> Floats:
        return scorer([dataset.paths[row] for row in chosen], [dataset.sha256s[row] for row in chosen], should_stop)

    fast_scores = booster.score(read.vectors[rows]) if len(rows) else np.zeros(0, dtype=np.float32)
    own = HeldOut(fast_scores, accurate_of(rows), dataset.y[rows], dataset.clusters[rows], _NOTE_OWN)
    if _enough(dataset):
        return own
    train = _rows(dataset, "train")
    n = len(train)
    train_fast = fast.oof_scores[:n] if fast is not None else booster.score(read.vectors[train])
    train_accurate = accurate_oof if accurate_oof is not None else accurate_of(train)
    old_fast = fast.oof_scores[n:] if fast is not None else rehearsal.fast_scores
    return HeldOut(
        np.concatenate([own.fast, train_fast, old_fast]),
        np.concatenate([own.accurate, train_accurate, rehearsal.accurate_scores]),
        np.concatenate([own.y, dataset.y[train], rehearsal.y]),
        np.concatenate([own.clusters, dataset.clusters[train], _apart(rehearsal.clusters, dataset.clusters)]),
        _NOTE_POOLED,
    )


_NOTE_OWN = "the calibration split of this installation"
_NOTE_POOLED = (
    "the calibration split was too small by itself, so the training split and the photos of the base release were "
    "added, scored by models of other folds (cross-fitting)"
)


def _scorer(folder: Path, base: Manifest) -> Cascade:
    """The new models before their calibration, which does not touch raw scores."""
    plain = {"kind": "temperature", "temperature": 1.0}
    write_json(folder / "calibration.json", {"fast": plain, "accurate": plain})
    write_json(folder / "policy.json", base.policy)
    drafted = draft_manifest(folder, name="draft", encoder=base.encoder, accurate=base.accurate)
    return Cascade.assemble(folder, drafted)


def _calibration_photos(dataset: TrainingData, should_stop: Callable[[], bool]) -> Iterator[Pixels]:
    """The photos that the thresholds were set on: the calibration split, where that is small the training split too."""
    splits = {"calibration"} if _enough(dataset) else {"calibration", "train"}
    for path, split in zip(dataset.paths, dataset.splits, strict=True):
        ask(should_stop)
        if split in splits:
            yield images.decode(path.read_bytes())


def _figures(
    held: HeldOut, curves: dict[str, Any], policy: dict[str, Any], should_stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Figures of both models and of the cascade on the held-out photos, one photo per cluster."""
    _, one_each = np.unique(held.clusters, return_index=True)
    single = held.take(one_each)
    fast, accurate = probabilities(single, curves)
    final = final_probability(policy, fast, accurate)
    models = {}
    for name, p in (("cascade", final), ("fast", fast), ("accurate", accurate)):
        ask(should_stop)
        models[name] = metrics.evaluate(single.y, p)
    return {
        **models,
        "coverage_at_5_percent_error": metrics.coverage_at_risk(single.y, final, 0.05),
        "auto_coverage": policy["coverage"],
        "auto_error_bound": policy["bound"],
        "on": held.note,
    }


def flat_figures(figures: dict[str, Any]) -> dict[str, float]:
    """One number per name, for tables and MLflow."""
    flat = {"auto_coverage": figures["auto_coverage"], "auto_error_bound": figures["auto_error_bound"]}
    for model in ("cascade", "fast", "accurate"):
        for measure in ("accuracy", "sensitivity", "specificity", "roc_auc", "ece"):
            value = figures[model][measure]["value"]
            if value is not None:
                flat[f"{model}_{measure}"] = value
    return flat


def _facts(dataset: TrainingData, held: HeldOut, kind: str) -> dict[str, Any]:
    train = _rows(dataset, "train")
    return {
        "kind": kind,
        "train_photos": len(train),
        "train_clusters": len(np.unique(dataset.clusters[train])),
        "train_cataract": int(dataset.y[train].sum()),
        "calibration_clusters": len(np.unique(held.clusters)),
        "calibrated_on": held.note,
    }


def _seen(base: Path, read: Read) -> list[str]:
    """The hashes of all photos this release, or the one it started from, was fitted or calibrated on."""
    import json

    path = base / "seen.json"
    known = json.loads(path.read_text(encoding="utf-8"))["hashes"] if path.exists() else []
    return sorted({*known, *(hashes[0] for hashes in read.hashes)})


def _rows(dataset: TrainingData, split: str) -> NDArray[np.int64]:
    return np.flatnonzero(np.array(dataset.splits) == split)


def _per_cluster(dataset: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights under which every cluster weighs as one photo, whatever the number of its copies."""
    _, inverse, counts = np.unique(dataset.clusters[rows], return_inverse=True, return_counts=True)
    return np.asarray(dataset.weights[rows] / counts[inverse], dtype=np.float64)


def balanced(weights: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weights scaled so that both classes weigh the same, and a photo 1 on average."""
    of_class = np.bincount(y, weights, minlength=2)
    return np.asarray(weights / of_class[y] * len(y) / 2, dtype=np.float64)


def _enough(dataset: TrainingData) -> bool:
    rows = _rows(dataset, "calibration")
    counts = [len(np.unique(dataset.clusters[rows][dataset.y[rows] == label])) for label in (0, 1)]
    return min(counts) >= MIN_CALIBRATION


def _apart(clusters: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """The clusters renumbered so that none is also one of the `others`."""
    return np.asarray(clusters + (int(others.max()) + 1 if len(others) else 0), dtype=np.int64)
