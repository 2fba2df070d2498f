"""Build the starter release from folders of public eye photos. Read `build_starter` top to bottom.

The first folder holds the photos that count: the fast model is fitted on them, both models are calibrated and judged on
them. The other folders (offline augmentations, noisy labels) train the encoder with its head, which is the accurate
model, and only those of their photos do that are no copies of a photo in the first folder. The encoder has therefore
never seen a photo on which anything is measured, and cross-validation is honest without refitting it.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cataract.ml.arrays import at_most
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import EncoderSpec
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.build.build import flat_figures, write_golden
from cataract.ml.learn.build.rehearsal import Rehearsal
from cataract.ml.learn.fit.augment import changes
from cataract.ml.learn.fit.calibrate import HeldOut, calibrate
from cataract.ml.learn.fit.export import to_onnx
from cataract.ml.learn.fit.fast import fit_fast
from cataract.ml.learn.fit.quantise import quantise_if_safe
from cataract.ml.learn.fit.towers import (
    CONFIG,
    IMAGE_SIZE,
    MEAN,
    STD,
    TailWithHead,
    create_model,
    load_encoder,
    save_encoder,
    split,
)
from cataract.ml.learn.starter import starter_card
from cataract.ml.learn.starter.collection import DRAWN, Collection, OnProgress, collect, draw_eyes, find_clusters
from cataract.ml.learn.starter.eye_check import OUTLIERS, fit_photo_gate
from cataract.ml.learn.starter.judged import CONFIDENCE, PREVALENCE, Embedder, Judged, Lesson, per_cluster
from cataract.ml.learn.starter.pretrain import BATCH, Photos, pretrain
from cataract.ml.photos import images
from cataract.ml.release.manifest import Manifest, draft_manifest, read_file, verify, write_json, write_manifest
from cataract.ml.statistics import splits

# Not the whole photo: it says more about who took it than about the lens (docs/experiments.md), and costs a third.
_VIEWS = ("centre", "pupil")
# What one core of a 2026 server trains on in a minute. `minutes` becomes a number of steps by it, so that the result
# depends on the argument and not on how busy the machine is.
_STEPS_A_MINUTE = 200

_CHANGED, _CHANGED_SIDE = 3, 320  # changed copies of each judged photo that the fast model learns from, long side
_GATE_OTHERS, _GATE_OUTLIERS = 500, OUTLIERS  # photos of the other folders, and drawn outliers, that fit the gate
_SPLIT = {"train": 0.8, "test": 0.2}


def build_starter(
    folders: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    minutes: float = 50,
    trials: int = 30,
    start: Path | None = None,
    on_progress: OnProgress,
) -> Manifest:
    """Build the starter release in `out` (replaced when it is there) from folders that hold `normal/` and `cataract/`.

    The parts are kept in `<out>.parts` until the end, so that a build that was stopped goes on where it was. `minutes`
    is the time for the encoder on one undisturbed core. `start`: an earlier starter release whose encoder is trained
    further, instead of one from scratch. Raises ValueError when a folder does not hold what is needed, ReleaseCorrupt.
    """
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    photos = collect(folders, on_progress)
    clusters = find_clusters(photos, parts, on_progress)

    steps = max(1, round(minutes * _STEPS_A_MINUTE))
    network = _train_encoder(photos, clusters, start, parts, seed, steps, on_progress)
    folder = parts / "release"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    manifest = assemble(
        folder, photos, clusters, network, start=start, seed=seed, trials=trials, on_progress=on_progress
    )
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
    start: Path | None,
    seed: int,
    trials: int,
    on_progress: OnProgress,
) -> Manifest:
    """Everything after the encoder: fit, calibrate, measure, and write the release into the empty `folder`.

    start: the release whose test photos stay test photos. trials: of the search for the fast model.
    """
    encoder = _export(network, folder)
    described: dict[str, Any] = {
        "name": "starter",
        "encoder": encoder,
        "accurate": {"views": list(_VIEWS), "flip": False},
    }

    judged = _judged(photos, clusters, folder, encoder, on_progress)
    test = _test_photos(judged, start, seed)
    held = _fit_fast(judged, ~test, folder, seed, trials, on_progress)
    curves, policy = calibrate(held, max_error=0.05, confidence=CONFIDENCE, prevalence=PREVALENCE)
    write_json(folder / "calibration.json", curves)
    write_json(folder / "policy.json", policy)
    write_json(folder / "gate.json", _gate(start, photos, clusters, judged, ~test, seed=seed, on_progress=on_progress))
    write_json(folder / "seen.json", {"hashes": _seen(photos, clusters, judged.clusters[test])})
    described["data"] = _facts(photos, clusters, test)
    photos_fitted = (judged.pixels[row] for row in np.flatnonzero(~test))
    described["quantisation"] = quantise_if_safe(folder, described, photos_fitted)
    write_golden(folder, described)
    draft = draft_manifest(folder, **described)

    on_progress("card", 0.0, "measuring on the photos that nothing was fitted on")
    figures = starter_card.measure(judged, test, held, Cascade.assemble(folder, draft), folder, seed)
    write_json(folder / "metrics.json", figures)
    described["metrics"] = flat_figures(figures)
    starter_card.write(folder, policy=policy, figures=figures, facts=described["data"])
    return write_manifest(folder, **described)


def _train_encoder(
    photos: Collection,
    clusters: NDArray[np.int64],
    start: Path | None,
    parts: Path,
    seed: int,
    steps: int,
    on_progress: OnProgress,
) -> TailWithHead:
    """Train the tower on the photos that share no cluster with the first folder; in `start` they must be the same."""
    origin = "" if start is None else f"-{verify(start).encoder['hash'][:8]}"
    judged = np.unique(clusters[: photos.first])
    chosen = np.flatnonzero(~np.isin(clusters, judged))
    if not len(chosen):
        raise ValueError("No photo is left to train the encoder on: give a second folder with other photos.")
    drawn, drawn_y, drawn_clusters = draw_eyes()
    learnt = Photos(
        [*(photos.pixels[row] for row in chosen), *drawn],
        [*(photos.pupils[row] for row in chosen), *(find_pupil(eye) for eye in drawn)],
        np.concatenate([photos.y[chosen], drawn_y]),
        np.concatenate([clusters[chosen], drawn_clusters + clusters.max() + 1]),
        whole=0.2,
    )
    return pretrain(
        create_model(CONFIG) if start is None else load_encoder(start),
        learnt,
        steps=steps,
        seed=seed,
        checkpoint=parts / f"encoder-{seed}-{steps}{origin}.safetensors",
        learning_rate=2e-3 if start is None else 1.2e-3,
        trained=start is not None,
        on_progress=lambda done, message: on_progress("encoder", done, f"{message} of {BATCH} crops"),
    )


def _export(network: TailWithHead, folder: Path) -> dict[str, Any]:
    """Write the encoder's files and the accurate model, from which fine-tuning starts; return the manifest's `encoder`.

    The accurate model is the tower with its head as they were trained: fine-tuning them on the judged photos made them
    worse, above all on changed photos (docs/experiments.md).
    """
    model: Any = create_model(CONFIG)
    model.visual.load_state_dict(network.tail.last.state_dict())
    save_encoder(folder, model.eval(), CONFIG)
    trunk, tail = split(model.visual)
    whole = TailWithHead(tail, network.head).eval()
    halves = {k: v.half() if v.is_floating_point() else v for k, v in whole.state_dict().items()}
    save_file({name: value.detach().contiguous() for name, value in halves.items()}, folder / "start.safetensors")
    example = np.random.default_rng(0).normal(size=(3, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    with torch.no_grad():
        activations = trunk(torch.from_numpy(example)).numpy()
    (folder / "trunk.onnx").write_bytes(to_onnx(trunk, example, source="pixels", target="activations"))
    (folder / "embed.onnx").write_bytes(to_onnx(tail, activations, source="activations", target="embedding"))
    (folder / "accurate.onnx").write_bytes(to_onnx(whole, activations, source="activations", target="logit"))
    embedding_dim = int(CONFIG["embed_dim"])
    encoder: dict[str, Any] = {
        "name": "cataract-seresnet",
        "arch": "SE-ResNet, 1.4 M parameters, from scratch",
        "image_size": IMAGE_SIZE,
        "mean": list(MEAN),
        "std": list(STD),
        "resize_mode": "squash",
        "views": list(_VIEWS),
        "handmade": True,
        "embedding_dim": embedding_dim,
        "dim": embedding_dim * len(_VIEWS) + features.LENGTH,
    }
    return encoder


def _judged(
    photos: Collection, clusters: NDArray[np.int64], folder: Path, encoder: dict[str, Any], on_progress: OnProgress
) -> Judged:
    spec = EncoderSpec.of({**encoder, "hash": ""})
    embed = Embedder(folder, spec)
    change = changes(IMAGE_SIZE)
    pixels, pupils, vectors, scores, changed = [], [], [], [], []
    for index, path in enumerate(photos.paths[: photos.first]):
        pixels.append(images.decode(path.read_bytes()))
        pupils.append(find_pupil(pixels[-1]))
        vectors.append(embed(pixels[-1], pupils[-1]))
        scores.append(embed.score(pixels[-1], pupils[-1]))
        change.set_random_seed(index)
        copies = [change(image=at_most(pixels[-1], _CHANGED_SIDE))["image"] for _ in range(_CHANGED)]
        changed.append([embed(copy, find_pupil(copy)) for copy in copies])
        if index % 50 == 0:
            on_progress("embedding", index / photos.first, f"photo {index + 1} of {photos.first}")
    y = _majority(photos.y[: photos.first], clusters[: photos.first])
    firsts = [hashes[0] for hashes in photos.hashes[: photos.first]]
    return Judged(
        pixels=pixels,
        pupils=pupils,
        vectors=np.stack(vectors),
        changed=np.array(changed),
        scores=np.array(scores, dtype=np.float32),
        y=y,
        clusters=clusters[: photos.first],
        hashes=firsts,
        spec=spec,
    )


def _test_photos(judged: Judged, start: Path | None, seed: int) -> NDArray[np.bool_]:
    """Which photos nothing is fitted on, (M,), whole clusters: a share drawn by the seed, or those that `start` spared
    too, because a choice that was made with an earlier release must not come to be judged on photos that made it."""
    if start is None:
        assigned = splits.assign(judged.clusters.tolist(), judged.y.tolist(), _SPLIT, seed)
        return np.asarray(np.array(assigned) == "test", dtype=np.bool_)
    seen = set(json.loads(read_file(start, verify(start), "seen.json"))["hashes"])
    fitted = [cluster for cluster, known in zip(judged.clusters, judged.hashes, strict=True) if known in seen]
    return ~np.isin(judged.clusters, fitted)


def _fit_fast(
    judged: Judged, chosen: NDArray[np.bool_], folder: Path, seed: int, trials: int, on_progress: OnProgress
) -> HeldOut:
    """Fit the fast model on the chosen photos and write it; return these photos' scores by models without them."""
    rows = np.flatnonzero(chosen)
    lesson = Lesson.of(judged, rows)
    fit = fit_fast(
        lesson.x,
        lesson.y,
        lesson.clusters,
        lesson.weights,
        trials=trials,
        seconds=float("inf"),
        seed=seed,
        on_trial=lambda trial: on_progress("fast", (trial["trial"] + 1) / trials, f"log loss {trial['log_loss']:.3f}"),
    )
    (folder / "fast.txt").write_text(fit.text, encoding="utf-8")
    y, clusters, hashes = judged.y[rows], judged.clusters[rows], np.array([judged.hashes[row] for row in rows])
    fast, accurate = fit.oof_scores[: len(rows)], judged.scores[rows]
    Rehearsal(judged.vectors[rows], y, clusters, per_cluster(clusters), hashes, fast, accurate).save(folder)
    return HeldOut(fast, accurate, y, clusters, _NOTE)


def _gate(
    start: Path | None,
    photos: Collection,
    clusters: NDArray[np.int64],
    judged: Judged,
    chosen: NDArray[np.bool_],
    *,
    seed: int,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """The gate of `start`, which does not depend on the encoder and knows no test photo; without one it is fitted on
    the chosen photos and on photos of the other folders that are no copies of judged ones."""
    if start is not None:
        gate = dict(json.loads(read_file(start, verify(start), "gate.json")))
        if "eye" in gate:  # releases of older programs lack the eye check
            return gate
    rows = np.flatnonzero(chosen)
    apart = np.flatnonzero(~np.isin(clusters, clusters[: photos.first]))
    drawn = np.random.default_rng(seed).choice(apart, size=min(_GATE_OTHERS, len(apart)), replace=False)
    return fit_photo_gate(
        [judged.pixels[row] for row in rows],
        judged.clusters[rows],
        others=[photos.pixels[row] for row in drawn],
        outliers=_GATE_OUTLIERS,
        seed=seed,
        on_progress=lambda done, message: on_progress("gate", done, message),
    )


_NOTE = (
    "the photos the fast model was fitted on, each scored by a fast model of the other folds (grouped cross-fitting) "
    "and by the accurate model, which was fitted on none of them"
)


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
        "drawn_eyes": 2 * DRAWN,
    }
