"""Fit the accurate model: the tower's tail and a head, fine-tuned on cached activations of the frozen trunk.

The trunk runs once per photo and change of it (ONNX Runtime), so an epoch costs only the tail. A release may carry
`start.safetensors`, a tail and head to start from; without it the tail starts as the encoder's and the head at random.
"""

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from cataract.ml import splits
from cataract.ml.arrays import Floats, Pixels
from cataract.ml.encoder import EncoderSpec, Graph, normalise, prepare
from cataract.ml.eye import find_pupil
from cataract.ml.learn.augment import changes, random_crop
from cataract.ml.learn.encoder import TailWithHead, load_encoder, split
from cataract.ml.learn.export import to_onnx
from cataract.ml.learn.fast import Cancelled
from cataract.ml.release import read_manifest

_BATCH = 64
_CHANGED = 6000  # changed crops in all, so that memory and time do not grow with the photos
_PATIENCE = 8  # epochs without a better held-out loss
_RATE_HEAD, _RATE_TAIL = 1e-3, 2e-4


@dataclass(frozen=True)
class AccurateFit:
    """A fitted accurate model. onnx: the graph; state: its weights, to start from next time; history: one dict per
    epoch; oof_scores: mean log-odds of each photo (N,) by models fitted without its cluster, empty when not asked."""

    onnx: bytes
    state: dict[str, Tensor]
    history: list[dict[str, float]]
    oof_scores: Floats = field(default_factory=lambda: np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class Activations:
    """The trunk's output. plain: (N, V, ...) of the serving views; changed: (N, K, ...) of K random changes of each."""

    plain: NDArray[np.float16]
    changed: NDArray[np.float16]


def fit_accurate(
    release_folder: Path,
    photos: Sequence[Pixels],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    *,
    epochs: int = 40,
    seed: int = 0,
    folds: int = 0,
    spec: EncoderSpec | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> AccurateFit:
    """Fine-tune on photos, (H, W, 3) uint8 each, labels (N,) 0/1 and clusters (N,); the best held-out epoch is kept.

    release_folder must be verified and hold `encoder.safetensors`, `open_clip.json` and `trunk.onnx`. `folds` > 1 also
    gives out-of-fold scores; `spec` is the manifest's encoder when not given. The same input and
    seed give the same model on the same machine. Raises ValueError when
    there are not two clusters of each class, Cancelled when `should_stop` says so.
    """
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    fewest = min(len(np.unique(groups[y == label])) for label in (0, 1))
    if fewest < 2:
        raise ValueError("The accurate model needs photos from at least two clusters of each class.")
    if spec is None:
        spec = EncoderSpec.of(read_manifest(release_folder).encoder)
    activations = run_trunk(release_folder, spec, photos, seed=seed, should_stop=should_stop)
    start = starting_point(release_folder, seed)
    data = _Data(activations, y, groups, weight)
    oof = np.zeros(0, dtype=np.float32)
    if folds > 1:
        oof = _out_of_fold(start, data, min(folds, fewest), epochs, seed, should_stop)
    network, history = _fit(start, data, epochs, seed, on_epoch, should_stop)
    example = activations.plain[:2, 0].astype(np.float32)
    if len(example) < 2:
        example = np.repeat(example, 2, axis=0)
    graph = to_onnx(network, example, source="activations", target="logit")
    return AccurateFit(graph, {k: v.clone() for k, v in network.state_dict().items()}, history, oof)


def starting_point(release_folder: Path, seed: int) -> TailWithHead:
    """The tail and head from which a fine-tuning starts."""
    torch.manual_seed(seed)
    model: Any = load_encoder(release_folder)
    _, tail = split(model.visual)
    config = json.loads((release_folder / "open_clip.json").read_text(encoding="utf-8"))
    network = TailWithHead(tail, nn.Linear(int(config["embed_dim"]), 1))
    nn.init.normal_(network.head.weight, std=1.0)
    if (release_folder / "start.safetensors").exists():
        state = load_file(release_folder / "start.safetensors")
        network.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in state.items()})
    return network.eval()


def run_trunk(
    release_folder: Path,
    spec: EncoderSpec,
    photos: Sequence[Pixels],
    *,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Activations:
    """The trunk's activations of every photo: of its serving views, and of random crops and changes of it."""
    graph = Graph((release_folder / "trunk.onnx").read_bytes(), providers=("CPUExecutionProvider",), threads=1)
    change = changes(spec.image_size)
    count = int(np.clip(_CHANGED // max(1, len(photos)), 3, 16))
    plain, changed = [], []
    for index, photo in enumerate(photos):
        if should_stop():
            raise Cancelled("The training was stopped.")
        pupil = find_pupil(photo)
        plain.append(graph.run(prepare(photo, spec, pupil)).astype(np.float16))
        rng = np.random.default_rng((seed, index))
        change.set_random_seed(int(rng.integers(2**31)))
        crops = [change(image=random_crop(photo, pupil, spec.image_size, rng))["image"] for _ in range(count)]
        changed.append(graph.run(normalise(crops, spec)).astype(np.float16))
    return Activations(np.stack(plain), np.stack(changed))


@dataclass(frozen=True)
class _Data:
    activations: Activations
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]

    def take(self, rows: NDArray[Any]) -> "_Data":
        chosen = Activations(self.activations.plain[rows], self.activations.changed[rows])
        return _Data(chosen, self.y[rows], self.groups[rows], self.weights[rows])


def _out_of_fold(
    start: TailWithHead, data: _Data, folds: int, epochs: int, seed: int, should_stop: Callable[[], bool]
) -> Floats:
    fold_of = splits.folds(data.groups.tolist(), data.y.tolist(), folds, seed)
    scores = np.zeros(len(data.y), dtype=np.float32)
    for fold in range(folds):
        network, _ = _fit(start, data.take(fold_of != fold), epochs, seed, None, should_stop)
        scores[fold_of == fold] = score(network, data.activations.plain[fold_of == fold])
    return scores


def _fit(
    start: TailWithHead,
    data: _Data,
    epochs: int,
    seed: int,
    on_epoch: Callable[[dict[str, Any]], None] | None,
    should_stop: Callable[[], bool],
) -> tuple[TailWithHead, list[dict[str, float]]]:
    """Train on most clusters, stop and choose the epoch by the loss of the others. Norm statistics stay frozen."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = copy.deepcopy(start)
    held = splits.folds(data.groups.tolist(), data.y.tolist(), 6, seed) == 0
    if len(np.unique(data.y[held])) < 2 or len(np.unique(data.y[~held])) < 2:
        held = np.ones(len(data.y), dtype=bool)  # too few to hold out: choose by the training loss, on unchanged views
        fitted, checked = data, data
    else:
        fitted, checked = data.take(~held), data.take(held)
    optimizer = torch.optim.AdamW(
        [
            {"params": network.head.parameters(), "lr": _RATE_HEAD},
            {"params": network.tail.parameters(), "lr": _RATE_TAIL},
        ],
        weight_decay=0.05,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    best_loss, best_state, waited = _loss(network, checked), copy.deepcopy(network.state_dict()), 0
    history = [{"epoch": 0.0, "validation_loss": best_loss}]
    for epoch in range(1, epochs + 1):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, epoch / 3) * (0.02 + 0.49 * (1 + math.cos(math.pi * epoch / (epochs + 1))))
        train_loss = _epoch(network, fitted, optimizer, rng, should_stop)
        loss = _loss(network, checked)
        history.append({"epoch": float(epoch), "train_loss": train_loss, "validation_loss": loss})
        if on_epoch is not None:
            on_epoch(dict(history[-1]))
        waited += 1
        if loss < best_loss - 1e-4:
            best_loss, best_state, waited = loss, copy.deepcopy(network.state_dict()), 0
        if waited >= _PATIENCE:
            break
    network.load_state_dict(best_state)
    return network.eval(), history


def _epoch(
    network: TailWithHead,
    data: _Data,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
    should_stop: Callable[[], bool],
) -> float:
    """One pass: each photo four times, changed in different ways; classes weigh the same."""
    of_class = np.array([data.weights[data.y == label].sum() for label in (0, 1)])
    share = data.weights / of_class[data.y] * len(data.y) / 2
    rows = np.concatenate([rng.permutation(len(data.y)) for _ in range(4)])
    total = 0.0
    for first in range(0, len(rows), _BATCH):
        if should_stop():
            raise Cancelled("The training was stopped.")
        chosen = rows[first : first + _BATCH]
        variants = rng.integers(data.activations.changed.shape[1], size=len(chosen))
        batch = torch.from_numpy(data.activations.changed[chosen, variants].astype(np.float32))
        target = torch.from_numpy((0.05 + 0.9 * data.y[chosen]).astype(np.float32))
        weight = torch.from_numpy(share[chosen].astype(np.float32))
        loss = nn.functional.binary_cross_entropy_with_logits(network(batch), target, weight=weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(rows)


def score(network: TailWithHead, plain: NDArray[np.float16]) -> Floats:
    """Mean log-odds over the views, (N, V, ...) -> (N,): what serving computes without mirroring."""
    with torch.no_grad():
        views = [network(torch.from_numpy(plain[:, view].astype(np.float32))) for view in range(plain.shape[1])]
    return np.asarray(torch.stack(views).mean(0).numpy(), dtype=np.float32)


def _loss(network: TailWithHead, data: _Data) -> float:
    log_odds = score(network, data.activations.plain).astype(np.float64)
    return float(np.average(np.logaddexp(0, log_odds) - data.y * log_odds, weights=data.weights))
