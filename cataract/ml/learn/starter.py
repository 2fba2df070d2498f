"""Build the starter release from folders of public eye photos. Read `build_starter` top to bottom.

The first folder holds the photos that count: the fast and the accurate model are fitted, calibrated and judged on them.
The other folders (offline augmentations, noisy labels) only train the encoder, and only those of their photos that are
no copies of a photo in the first folder. The encoder has therefore never seen a photo on which anything is measured,
and cross-validation of the two models is honest without refitting it.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cataract.ml import duplicates, features, images, splits
from cataract.ml.arrays import Pixels, at_most
from cataract.ml.cascade import Cascade
from cataract.ml.encoder import VIEWS, EncoderSpec
from cataract.ml.eye import Pupil, find_pupil
from cataract.ml.gate import fit_gate
from cataract.ml.labels import CLASSES
from cataract.ml.learn import startercard
from cataract.ml.learn.accurate import fit_accurate
from cataract.ml.learn.build import flat_figures, write_golden
from cataract.ml.learn.calibrate import HeldOut, calibrate
from cataract.ml.learn.copies import join_copies
from cataract.ml.learn.encoder import CONFIG, IMAGE_SIZE, MEAN, STD, TailWithHead, create_model, save_encoder, split
from cataract.ml.learn.export import to_onnx
from cataract.ml.learn.fast import fit_fast
from cataract.ml.learn.judged import CONFIDENCE, PREVALENCE, Embedder, Judged, per_cluster
from cataract.ml.learn.pretrain import BATCH, Photos, pretrain
from cataract.ml.learn.rehearsal import Rehearsal
from cataract.ml.release import Manifest, draft_manifest, write_json, write_manifest
from cataract.ml.synthetic import render_eye

_SIDE = 256
_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
# What one core of a 2026 server trains on in a minute. `minutes` becomes a number of steps by it, so that the result
# depends on the argument and not on how busy the machine is.
_STEPS_A_MINUTE = 120

_DRAWN = 160  # pairs of drawn eyes, four pairs as one original
_SPLIT = {"train": 0.8, "test": 0.2}

OnProgress = Callable[[str, float, str], None]


@dataclass(frozen=True)
class Collection:
    """All photos in memory, long side at most 256. first: how many of them, at the start, are of the first folder."""

    paths: list[Path]
    pixels: list[Pixels]
    hashes: list[list[str]]
    pupils: list[Pupil | None]
    y: NDArray[np.int64]
    first: int


def build_starter(
    folders: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    minutes: float = 25.6,
    trials: int = 30,
    epochs: int = 12,
    on_progress: OnProgress,
) -> Manifest:
    """Build the starter release in `out` (replaced when it is there) from folders that hold `normal/` and `cataract/`.

    The parts are kept in `<out>.parts` until the end, so that a build that was stopped goes on where it was. `minutes`
    is the time for the encoder on one undisturbed core. Raises ValueError when a folder does not hold what is needed.
    """
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    photos = collect(folders, on_progress)
    clusters = _clusters(photos, parts, on_progress)

    network = _train_encoder(photos, clusters, parts, seed, round(minutes * _STEPS_A_MINUTE), on_progress)
    folder = parts / "release"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    budget = (trials, epochs)
    manifest = assemble(folder, photos, clusters, network, seed=seed, budget=budget, on_progress=on_progress)
    shutil.rmtree(out, ignore_errors=True)
    folder.replace(out)
    shutil.rmtree(parts)
    on_progress("done", 1.0, f"{manifest.id} in {out.name}")
    return manifest


def assemble(
    folder: Path,
    photos: Collection,
    clusters: NDArray[np.int64],
    network: TailWithHead,
    *,
    seed: int,
    budget: tuple[int, int],
    on_progress: OnProgress,
) -> Manifest:
    """Everything after the encoder: fit, calibrate, measure, and write the release into the empty `folder`.

    budget: trials of the search for the fast model, epochs of the fine-tuning of the accurate one.
    """
    encoder = _export(network, folder)
    described: dict[str, Any] = {
        "name": "starter",
        "encoder": encoder,
        "accurate": {"views": list(VIEWS), "flip": False},
    }

    judged = _judged(photos, clusters, folder, encoder, on_progress)
    test = np.array(splits.assign(judged.clusters.tolist(), judged.y.tolist(), _SPLIT, seed)) == "test"
    held = _fit_models(judged, ~test, folder, seed, budget, on_progress)
    curves, policy = calibrate(held, max_error=0.05, confidence=CONFIDENCE, prevalence=PREVALENCE)
    write_json(folder / "calibration.json", curves)
    write_json(folder / "policy.json", policy)
    fitted = np.flatnonzero(~test)
    handmade = judged.vectors[fitted, -features.LENGTH :]
    write_json(folder / "gate.json", fit_gate(handmade, of="handmade", groups=held.clusters))
    write_json(folder / "seen.json", {"hashes": _seen(photos, clusters, judged.clusters[test])})
    described["data"] = _facts(photos, clusters, test)
    write_golden(folder, described)
    draft = draft_manifest(folder, **described)

    on_progress("card", 0.0, "measuring on the photos that nothing was fitted on")
    figures = startercard.measure(judged, test, held, Cascade.assemble(folder, draft), folder, seed)
    write_json(folder / "metrics.json", figures)
    described["metrics"] = flat_figures(figures)
    startercard.write(folder, policy=policy, figures=figures, facts=described["data"])
    return write_manifest(folder, **described)


def collect(folders: Sequence[Path], on_progress: OnProgress) -> Collection:
    """Read every photo below the folders; its label is the name of the folder it lies in."""
    paths, first = [], 0
    for number, folder in enumerate(folders):
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PHOTOS and p.parent.name in CLASSES)
        if {path.parent.name for path in found} != set(CLASSES):
            raise ValueError(f"{folder} must hold photos in folders named {' and '.join(CLASSES)} (at any depth).")
        paths += found
        first = len(found) if number == 0 else first
    pixels, hashes, pupils = [], [], []
    for index, path in enumerate(paths):
        photo = images.decode(path.read_bytes(), min_side=_SIDE)
        hashes.append(duplicates.dihedral_hashes(photo))
        pixels.append(at_most(photo, _SIDE))
        pupils.append(find_pupil(pixels[-1]))
        if index % 100 == 0:
            on_progress("reading", index / len(paths), f"photo {index + 1} of {len(paths)}")
    y = np.array([CLASSES.index(path.parent.name) for path in paths], dtype=np.int64)
    return Collection(paths, pixels, hashes, pupils, y, first)


def _clusters(photos: Collection, parts: Path, on_progress: OnProgress) -> NDArray[np.int64]:
    """The cluster of each photo, over all folders: by perceptual hashes, then by local features. Kept in `parts`."""
    kept = parts / "clusters.json"
    names = [f"{path.parent.name}/{path.name}" for path in photos.paths]
    if kept.exists():
        stored = json.loads(kept.read_text(encoding="utf-8"))
        if stored["names"] == names:
            return np.array(stored["clusters"], dtype=np.int64)
    clusters = duplicates.Clusters(len(names))
    firsts = [hashes[0] for hashes in photos.hashes]
    for index, hashes in enumerate(photos.hashes):
        for other in duplicates.near(hashes, firsts[:index]):
            clusters.join(index, other)
    join_copies(photos.pixels, clusters, lambda done: on_progress("copies", done, "looking for copies of one original"))
    write_json(kept, {"names": names, "clusters": clusters.numbers()})
    return np.array(clusters.numbers(), dtype=np.int64)


def _train_encoder(
    photos: Collection, clusters: NDArray[np.int64], parts: Path, seed: int, steps: int, on_progress: OnProgress
) -> TailWithHead:
    """Pretrain the tower on the photos that share no cluster with the first folder."""
    judged = np.unique(clusters[: photos.first])
    chosen = np.flatnonzero(~np.isin(clusters, judged))
    if not len(chosen):
        raise ValueError("No photo is left to train the encoder on: give a second folder with other photos.")
    drawn, drawn_y, drawn_clusters = _drawn()
    learnt = Photos(
        [*(photos.pixels[row] for row in chosen), *drawn],
        [*(photos.pupils[row] for row in chosen), *(find_pupil(eye) for eye in drawn)],
        np.concatenate([photos.y[chosen], drawn_y]),
        np.concatenate([clusters[chosen], drawn_clusters + clusters.max() + 1]),
        whole=0.2,
    )
    return pretrain(
        create_model(CONFIG),
        learnt,
        steps=max(steps, 1),
        seed=seed,
        checkpoint=parts / f"encoder-{seed}-{steps}.safetensors",
        on_progress=lambda done, message: on_progress("encoder", done, f"{message} of {BATCH} crops"),
    )


def _drawn() -> tuple[list[Pixels], NDArray[np.int64], NDArray[np.int64]]:
    """Drawn eyes in pairs that differ in the lens only: where to look, and that skin and lids say nothing."""
    eyes, y = [], []
    for seed in range(_DRAWN):
        opacity = 0.4 + 0.6 * (seed % 7) / 6
        eyes += [render_eye(1000 + seed, size=160), render_eye(1000 + seed, opacity=opacity, size=160)]
        y += [0, 1]
    return eyes, np.array(y, dtype=np.int64), np.repeat(np.arange(_DRAWN), 2) // 4


def _export(network: TailWithHead, folder: Path) -> dict[str, Any]:
    """Write the encoder's files and the start of every fine-tuning; return the manifest's `encoder`."""
    model: Any = create_model(CONFIG)
    model.visual.load_state_dict(network.tail.last.state_dict())
    save_encoder(folder, model.eval(), CONFIG)
    trunk, tail = split(model.visual)
    start = TailWithHead(tail, network.head)
    save_file({k: v.detach().clone().contiguous() for k, v in start.state_dict().items()}, folder / "start.safetensors")
    example = np.random.default_rng(0).normal(size=(3, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    with torch.no_grad():
        activations = trunk(torch.from_numpy(example)).numpy()
    (folder / "trunk.onnx").write_bytes(to_onnx(trunk, example, source="pixels", target="activations"))
    (folder / "embed.onnx").write_bytes(to_onnx(tail, activations, source="activations", target="embedding"))
    embedding_dim = int(CONFIG["embed_dim"])
    encoder: dict[str, Any] = {
        "name": "cataract-seresnet",
        "arch": "SE-ResNet, 1.4 M parameters, from scratch",
        "image_size": IMAGE_SIZE,
        "mean": list(MEAN),
        "std": list(STD),
        "resize_mode": "squash",
        "views": list(VIEWS),
        "handmade": True,
        "embedding_dim": embedding_dim,
        "dim": embedding_dim * len(VIEWS) + features.LENGTH,
    }
    return encoder


def _judged(
    photos: Collection, clusters: NDArray[np.int64], folder: Path, encoder: dict[str, Any], on_progress: OnProgress
) -> Judged:
    spec = EncoderSpec.of({**encoder, "hash": ""})
    embed = Embedder(folder, spec)
    pixels, pupils, vectors = [], [], []
    for index, path in enumerate(photos.paths[: photos.first]):
        pixels.append(images.decode(path.read_bytes()))
        pupils.append(find_pupil(pixels[-1]))
        vectors.append(embed(pixels[-1], pupils[-1]))
        if index % 50 == 0:
            on_progress("embedding", index / photos.first, f"photo {index + 1} of {photos.first}")
    y = _majority(photos.y[: photos.first], clusters[: photos.first])
    firsts = [hashes[0] for hashes in photos.hashes[: photos.first]]
    return Judged(pixels, pupils, np.stack(vectors), y, clusters[: photos.first], firsts, spec)


def _fit_models(
    judged: Judged,
    chosen: NDArray[np.bool_],
    folder: Path,
    seed: int,
    budget: tuple[int, int],
    on_progress: OnProgress,
) -> HeldOut:
    """Fit both models on the chosen photos and write them; return the chosen photos' out-of-fold scores."""
    trials, epochs = budget
    rows = np.flatnonzero(chosen)
    y, clusters = judged.y[rows], judged.clusters[rows]
    weights = per_cluster(clusters)
    fast = fit_fast(
        judged.vectors[rows],
        y,
        clusters,
        weights,
        trials=trials,
        seconds=float("inf"),
        seed=seed,
        on_trial=lambda trial: on_progress(
            "fast", (trial["trial"] + 1) / trials, f"log loss {trial['log_loss']:.3f}, ROC-AUC {trial['roc_auc']:.3f}"
        ),
    )
    (folder / "fast.txt").write_text(fast.text, encoding="utf-8")
    accurate = fit_accurate(
        folder,
        [judged.pixels[row] for row in rows],
        y,
        clusters,
        weights,
        epochs=epochs,
        seed=seed,
        folds=5,
        spec=judged.spec,
        on_epoch=lambda e: on_progress("accurate", 0.0, f"epoch {e['epoch']:.0f}, loss {e['validation_loss']:.3f}"),
    )
    (folder / "accurate.onnx").write_bytes(accurate.onnx)
    save_file({name: value.half() for name, value in accurate.state.items()}, folder / "start.safetensors")
    hashes = np.array([judged.hashes[row] for row in rows])
    Rehearsal(judged.vectors[rows], y, clusters, weights, hashes, fast.oof_scores, accurate.oof_scores).save(folder)
    return HeldOut(fast.oof_scores, accurate.oof_scores, y, clusters, _NOTE)


_NOTE = "the photos the two models were fitted on, each scored by models of the other folds (grouped cross-fitting)"


def _majority(y: NDArray[np.int64], clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels with those of a cluster made one: the published set calls one of eight copies otherwise."""
    _, inverse, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    positive = np.bincount(inverse, y)
    return np.asarray((2 * positive >= counts)[inverse], dtype=np.int64)


def _seen(photos: Collection, clusters: NDArray[np.int64], unseen: NDArray[np.int64]) -> list[str]:
    """The hashes of every photo of a cluster on which anything was fitted, encoder included."""
    fitted = np.isin(clusters, np.unique(unseen), invert=True)
    return sorted({photos.hashes[row][0] for row in np.flatnonzero(fitted)})


def _facts(photos: Collection, clusters: NDArray[np.int64], test: NDArray[np.bool_]) -> dict[str, Any]:
    first = clusters[: photos.first]
    others = clusters[photos.first :]
    apart = ~np.isin(others, np.unique(first))
    return {
        "photos": photos.first,
        "clusters": len(np.unique(first)),
        "cataract_clusters": len(np.unique(first[photos.y[: photos.first] == 1])),
        "fitted_clusters": len(np.unique(first[~test])),
        "test_clusters": len(np.unique(first[test])),
        "encoder_photos": int(apart.sum()),
        "encoder_originals": len(np.unique(others[apart])),
        "encoder_copies_left_out": int((~apart).sum()),
        "drawn_eyes": 2 * _DRAWN,
    }
