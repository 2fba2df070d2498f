"""Fit the accurate model: the tower's tail and a head, fine-tuned on cached activations of the frozen trunk.

The trunk runs once per photo and change of it (ONNX Runtime), so an epoch costs only the tail. Activations and finished
epochs are kept in a checkpoint, so that a killed fit goes on from its last epoch. A release may carry
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

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.encoding.encoder import EncoderSpec, Graph, normalise, prepare
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.fit.augment import changes, random_crop
from cataract.ml.learn.fit.checkpoint import Checkpoint
from cataract.ml.learn.fit.export import to_onnx
from cataract.ml.learn.fit.fast import ask
from cataract.ml.learn.fit.towers import TailWithHead, load_encoder, split
from cataract.ml.release.manifest import read_manifest
from cataract.ml.statistics import splits

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
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda epoch: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> AccurateFit:
    """Fine-tune on photos, (H, W, 3) uint8 each, labels (N,) 0/1 and clusters (N,); the best held-out epoch is kept.

    release_folder must be verified and hold `encoder.safetensors`, `open_clip.json` and `trunk.onnx`. `folds` > 1 also
    gives out-of-fold scores; `spec` is the manifest's encoder when not given. `on_epoch` gets the losses of each epoch,
    and of how many fits ("fits") it belongs to which ("fit", from 0; the last one is the model). The same input and
    seed give the same model on the same machine, also when the fit was killed and goes on from its `checkpoint`.
    Raises ValueError when there are not two clusters of each class, Cancelled when `should_stop` says so.
    """
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    fewest = min(len(np.unique(groups[y == label])) for label in (0, 1))
    if fewest < 2:
        raise ValueError("The accurate model needs photos from at least two clusters of each class.")
    if spec is None:
        spec = EncoderSpec.of(read_manifest(release_folder).encoder)
    folds = min(folds, fewest) if folds > 1 else 0
    kept = checkpoint or Checkpoint()
    found = kept.arrays("activations", lambda: vars(run_trunk(release_folder, spec, photos, seed, should_stop)))
    activations = Activations(**found)
    data = _Data(activations, y, groups, weight)
    job = _Job(starting_point(release_folder, seed), epochs, seed, folds + 1, kept, on_epoch, should_stop)
    oof = _out_of_fold(job, data, folds) if folds else np.zeros(0, dtype=np.float32)
    network, history = _fit(job, data, folds)
    ask(should_stop)
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
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Activations:
    """The trunk's activations of every photo: of its serving views, and of random crops and changes of it."""
    graph = Graph((release_folder / "trunk.onnx").read_bytes(), providers=("CPUExecutionProvider",), threads=1)
    change = changes(spec.image_size)
    count = int(np.clip(_CHANGED // max(1, len(photos)), 3, 16))
    plain, changed = [], []
    for index, photo in enumerate(photos):
        ask(should_stop)
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


@dataclass(frozen=True)
class _Job:
    """What all fits of one call share: where they start, their budget, and whom they tell."""

    start: TailWithHead
    epochs: int
    seed: int
    fits: int
    checkpoint: Checkpoint
    on_epoch: Callable[[dict[str, Any]], None]
    should_stop: Callable[[], bool]


def _out_of_fold(job: _Job, data: _Data, folds: int) -> Floats:
    fold_of = splits.folds(data.groups.tolist(), data.y.tolist(), folds, job.seed)
    scores = np.zeros(len(data.y), dtype=np.float32)
    for fold in range(folds):
        network, _ = _fit(job, data.take(fold_of != fold), fold)
        scores[fold_of == fold] = score(network, data.activations.plain[fold_of == fold], job.should_stop)
    return scores


def _fit(job: _Job, data: _Data, number: int) -> tuple[TailWithHead, list[dict[str, float]]]:
    """Train on most clusters, stop and choose the epoch by the loss of the others. Norm statistics stay frozen."""
    fitted, checked = _hold_out(data, job.seed)
    state = _State.begin(job, checked)
    state.restore(job.checkpoint, number)
    while len(state.history) <= job.epochs and state.waited < _PATIENCE:
        epoch = len(state.history)
        state.set_rates(epoch, job.epochs)
        train_loss = _epoch(state.network, fitted, state.optimizer, state.rng, job.should_stop)
        state.judge({"epoch": float(epoch), "train_loss": train_loss}, _loss(state.network, checked, job.should_stop))
        state.save(job.checkpoint, number)
        job.on_epoch({**state.history[-1], "fit": number, "fits": job.fits})
    state.network.load_state_dict(state.best)
    return state.network.eval(), state.history


def _hold_out(data: _Data, seed: int) -> tuple[_Data, _Data]:
    """(to fit on, to choose the epoch by): a sixth of the clusters is held out where that leaves both classes."""
    held = splits.folds(data.groups.tolist(), data.y.tolist(), 6, seed) == 0
    if len(np.unique(data.y[held])) < 2 or len(np.unique(data.y[~held])) < 2:
        return data, data  # too few to hold out: choose by the training loss, on unchanged views
    return data.take(~held), data.take(held)


@dataclass
class _State:
    """Where one fit is after an epoch: all that the next epoch depends on."""

    network: TailWithHead
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    best: dict[str, Tensor]
    best_loss: float
    history: list[dict[str, float]]
    waited: int = 0

    @classmethod
    def begin(cls, job: _Job, checked: _Data) -> "_State":
        torch.manual_seed(job.seed)
        network = copy.deepcopy(job.start)
        parts = ((network.head, _RATE_HEAD), (network.tail, _RATE_TAIL))
        groups = [{"params": list(part.parameters()), "lr": rate, "base": rate} for part, rate in parts]
        loss = _loss(network, checked, job.should_stop)
        return cls(
            network,
            torch.optim.AdamW(groups, weight_decay=0.05),
            np.random.default_rng(job.seed),
            copy.deepcopy(network.state_dict()),
            loss,
            [{"epoch": 0.0, "validation_loss": loss}],
        )

    def set_rates(self, epoch: int, epochs: int) -> None:
        """Three epochs of warm-up, then down along a cosine."""
        share = min(1.0, epoch / 3) * (0.02 + 0.49 * (1 + math.cos(math.pi * epoch / (epochs + 1))))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * share

    def judge(self, values: dict[str, float], loss: float) -> None:
        self.history.append({**values, "validation_loss": loss})
        self.waited += 1
        if loss < self.best_loss - 1e-4:
            self.best_loss, self.best, self.waited = loss, copy.deepcopy(self.network.state_dict()), 0

    def save(self, checkpoint: Checkpoint, number: int) -> None:
        tensors = {f"now.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        facts = {
            "best_loss": self.best_loss,
            "waited": self.waited,
            "history": self.history,
            "numpy": self.rng.bit_generator.state,
        }
        tensors["torch"] = torch.get_rng_state()
        checkpoint.save_state(f"accurate-{number}", {name: value.numpy() for name, value in tensors.items()}, facts)

    def restore(self, checkpoint: Checkpoint, number: int) -> None:
        """Go on after the last epoch that was saved; stay at the beginning when none was."""
        found = checkpoint.load_state(f"accurate-{number}")
        if found is None:
            return
        arrays, facts = found
        tensors = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
        self.network.load_state_dict(_below("now.", tensors))
        self.best = _below("best.", tensors)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, moment = name.split(".", 1)
            moments.setdefault(int(index), {})[moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.best_loss, self.waited, self.history = facts["best_loss"], facts["waited"], facts["history"]
        self.rng.bit_generator.state = facts["numpy"]
        torch.set_rng_state(tensors["torch"])


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


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
        ask(should_stop)
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


def score(network: TailWithHead, plain: NDArray[np.float16], should_stop: Callable[[], bool] = lambda: False) -> Floats:
    """Mean log-odds over the views, (N, V, ...) -> (N,): what serving computes without mirroring. Raises Cancelled."""
    found = np.zeros(plain.shape[:2], dtype=np.float32)
    with torch.no_grad():
        for first in range(0, len(plain), _BATCH):
            ask(should_stop)
            rows = slice(first, first + _BATCH)
            for view in range(plain.shape[1]):
                found[rows, view] = network(torch.from_numpy(plain[rows, view].astype(np.float32))).numpy()
    return np.asarray(found.mean(axis=1), dtype=np.float32)


def _loss(network: TailWithHead, data: _Data, should_stop: Callable[[], bool]) -> float:
    log_odds = score(network, data.activations.plain, should_stop).astype(np.float64)
    return float(np.average(np.logaddexp(0, log_odds) - data.y * log_odds, weights=data.weights))
