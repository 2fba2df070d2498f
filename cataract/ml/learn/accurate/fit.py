"""Fit the accurate model: the tower's tail and a head, fine-tuned on cached activations of the frozen trunk.

The trunk runs once per photo and augmentation, and its activations stay on disk, so an epoch costs only the tail. A
checkpoint keeps them and every finished epoch: a killed fit resumes from its last epoch. A release may carry
`start.safetensors`, a tail and head to start from; without it the tail starts as the encoder's and the head at random.

On few photos fine-tuning overfits soon. So the head alone is fitted first, where that helps (LP-FT, Kumar et al. 2022),
the rates are low, and the weights of the model are a mean of those before and after, with the share that has the lowest
log loss out of fold (WiSE-FT, Wortsman et al. 2022); share 0 keeps the start.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.learn.accurate.activations import Activations, StoredRows, compute_activations
from cataract.ml.learn.accurate.device import Device
from cataract.ml.learn.accurate.time_budget import TimeBudget
from cataract.ml.learn.accurate.training_state import TrainingState
from cataract.ml.learn.checkpoint import Checkpoint
from cataract.ml.learn.fast.cross_validation import fold_metrics, log_loss
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.towers.cut import split
from cataract.ml.learn.towers.export import to_onnx
from cataract.ml.learn.towers.towers import TailWithHead, load_encoder
from cataract.ml.statistics import splits

_BATCH = 64
_PASSES = 4  # of each photo in an epoch, augmented differently
_PATIENCE = 8  # epochs without a better validation loss
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the fine-tuned weights, the rest is the start's
_PROBE_STRENGTH = 10.0  # inverse, of the head's L2 penalty; embeddings have unit length


@dataclass(frozen=True)
class AccurateFit:
    """A fitted accurate model. onnx: the graph; state: its weights, to start from next time; history: one dict per
    epoch; share: of the fine-tuned weights in the mean; oof_scores: mean log-odds of each photo (N,) by models fitted
    without its cluster, empty without folds; repeats: the metrics of each of the repeated foldings, each with another
    seed; ran_out_of_time: how the last fit that the time ended early ended, in a sentence, else empty."""

    onnx: bytes
    state: dict[str, Tensor]
    history: list[dict[str, float]]
    share: float = 1.0
    oof_scores: Floats = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    repeats: list[dict[str, float]] = field(default_factory=list)
    ran_out_of_time: str = ""


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
    repeats: int = 1,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    reporter: Reporter = SILENT,
) -> AccurateFit:
    """Fine-tune on photos, (H, W, 3) uint8 each, labels (N,) 0/1 and clusters (N,); the best validation epoch is kept.

    release_folder must be verified and hold `encoder.safetensors`, `open_clip.json` and `trunk.onnx`. `folds` > 1 also
    gives out-of-fold scores and chooses the share of the fine-tuned weights by them, else by the validation loss;
    `repeats` of the folding, each with another seed, say how much the metrics vary. The metrics of each epoch hold its
    losses, and which fit it belongs to ("fit", from 0) of how many ("fits"); the last one is the model. device: "auto",
    "cpu" or "cuda" (`Device.of`). When the reporter's time runs out, a fit ends after its last possible epoch, and
    `ran_out_of_time` says so. Otherwise the same input and seed give the same model on the same machine, also when the
    fit was killed and resumes from its `checkpoint`.
    Raises ValueError when there are not two clusters of each class, or when device, disk or time do not suffice;
    Cancelled.
    """
    weight = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    fewest = min(len(np.unique(groups[y == label])) for label in (0, 1))
    if fewest < 2:
        raise ValueError("The accurate model needs photos from at least two clusters of each class.")
    folds = min(folds, fewest) if folds > 1 else 0
    checkpoint = checkpoint or Checkpoint()
    place = Device.of(device)
    reporter.log(f"accurate: computing on {place}")
    with checkpoint.place("activations") as folder:
        activations = compute_activations(release_folder, photos, folder, seed=seed, device=place, reporter=reporter)
        data = _Data(activations, y, groups, weight)
        start = _starting_point(release_folder, seed).to(place.name)
        fits = folds * repeats + 1
        job = _Job(start, epochs, seed, fits, checkpoint, reporter, place)
        share, runs = _out_of_fold(job, data, folds, repeats) if folds else (None, [])
        network, share, history = _fit_mean(job, data, fits - 1, share)
        example = activations.plain[:2, 0].astype(np.float32)
    reporter.check_stop()
    if len(example) < 2:
        example = np.repeat(example, 2, axis=0)
    network = network.cpu()
    graph = to_onnx(network, example, source="activations", target="logit")
    state = {name: value.clone() for name, value in network.state_dict().items()}
    measured = [fold_metrics(scores, y, weight) for scores in runs]
    scores = runs[0] if runs else np.zeros(0, dtype=np.float32)
    return AccurateFit(graph, state, history, share, scores, measured, job.ended_early[-1] if job.ended_early else "")


def _starting_point(release_folder: Path, seed: int) -> TailWithHead:
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


@dataclass(frozen=True)
class _Data:
    activations: Activations
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]

    def take(self, rows: NDArray[Any]) -> "_Data":
        return _Data(self.activations.take(rows), self.y[rows], self.groups[rows], self.weights[rows])


@dataclass(frozen=True)
class _Job:
    """What all fits of one call share: their starting point, their budget, the reporter and the device; and a sentence
    for each that the time ended."""

    start: TailWithHead
    epochs: int
    seed: int
    fits: int
    checkpoint: Checkpoint
    reporter: Reporter
    device: Device
    ended_early: list[str] = field(default_factory=list)


def _out_of_fold(job: _Job, data: _Data, folds: int, repeats: int) -> tuple[float, list[Floats]]:
    """The share of the fine-tuned weights with the lowest log loss, and the scores (N,) of each folding with it."""
    scores = np.zeros((len(_SHARES), repeats, len(data.y)), dtype=np.float32)
    for repeat in range(repeats):
        fold_of = splits.folds(data.groups.tolist(), data.y.tolist(), folds, job.seed + repeat)
        for fold in range(folds):
            inside = fold_of == fold
            start, tuned, _ = _fit(job, data.take(~inside), folds * repeat + fold)
            for row, share in enumerate(_SHARES):
                scores[row, repeat, inside] = _score(
                    _mean(start, tuned, share), data.activations.plain.take(inside), job
                )
    found = [np.mean([log_loss(run, data.y, data.weights) for run in of_share]) for of_share in scores]
    best = int(np.argmin(found))
    return _SHARES[best], list(scores[best])


def _fit_mean(
    job: _Job, data: _Data, number: int, share: float | None
) -> tuple[TailWithHead, float, list[dict[str, float]]]:
    """(network, share of the fine-tuned weights, history); without a `share` the validation loss chooses it."""
    start, tuned, history = _fit(job, data, number)
    if share is None:
        validation = _hold_out(data, job.seed)[1]
        share = min(_SHARES, key=lambda each: _loss(_mean(start, tuned, each), validation, job))
    job.reporter.log(f"accurate: the weights are {share:.0%} fine-tuned ones and else those of the start")
    return _mean(start, tuned, share), share, history


def _mean(start: TailWithHead, tuned: TailWithHead, share: float) -> TailWithHead:
    """A network whose weights are the mean of two."""
    network, before = copy.deepcopy(tuned), start.state_dict()
    network.load_state_dict(
        {
            name: torch.lerp(before[name], value, share) if value.is_floating_point() else value
            for name, value in tuned.state_dict().items()
        }
    )
    return network.eval()


def _probe(job: _Job, data: _Data) -> TailWithHead:
    """The start with its head fitted again on the embeddings of the photos as they are served; both classes weigh the
    same. Raises Cancelled."""
    from sklearn.linear_model import LogisticRegression

    plain = data.activations.plain
    embeddings = []
    with torch.no_grad(), job.device.computing():
        for first in range(0, len(plain), _BATCH):
            job.reporter.check_stop()
            for view in range(plain.shape[1]):
                batch = job.device.put(plain[slice(first, first + _BATCH), view])
                embeddings.append(job.start.tail(batch).float().cpu().numpy())
    order = [
        np.arange(first, min(first + _BATCH, len(plain)))
        for first in range(0, len(plain), _BATCH)
        for _ in range(plain.shape[1])
    ]
    rows = np.concatenate(order)
    model: Any = LogisticRegression(C=_PROBE_STRENGTH, max_iter=1000, class_weight="balanced")
    model.fit(np.concatenate(embeddings).astype(np.float64), data.y[rows], sample_weight=data.weights[rows])
    network = copy.deepcopy(job.start)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(model.coef_).to(network.head.weight))
        network.head.bias.copy_(torch.from_numpy(model.intercept_).to(network.head.bias))
    return network


def _fit(job: _Job, data: _Data, number: int) -> tuple[TailWithHead, TailWithHead, list[dict[str, float]]]:
    """(start, fine-tuned network, history). Start from the given head or one that was fitted again, whichever has the
    lower loss on held-out clusters; train on the other clusters; stop, and choose the epoch, by that loss too. Norm
    statistics stay frozen."""
    seed = job.seed + number
    fitted, validation = _hold_out(data, job.seed)
    name = f"accurate-{number}"
    starts = [(_loss(network, validation, job), network) for network in (job.start, _probe(job, fitted))]
    loss, start = min(starts, key=lambda pair: pair[0])
    state = TrainingState.begin(start, seed, loss)
    state.restore(job.checkpoint, name)
    budget = TimeBudget.share(job.reporter, job.fits - number)
    while len(state.history) <= job.epochs and state.waited < _PATIENCE:
        if budget.is_spent:
            job.ended_early.append(_out_of_time(state, job))
            job.reporter.log(f"accurate: {job.ended_early[-1]}")
            break
        epoch = len(state.history)
        state.set_rates(epoch, job.epochs)
        train_loss = _epoch(state, fitted, job)
        state.record(epoch, train_loss, _loss(state.network, validation, job))
        state.save(job.checkpoint, name)
        job.reporter.metric({**state.history[-1], "fit": number, "fits": job.fits}, epoch)
        budget.epoch_ends()
    state.network.load_state_dict(state.best)
    return start, state.network.eval(), state.history


def _hold_out(data: _Data, seed: int) -> tuple[_Data, _Data]:
    """(training, validation): a sixth of the clusters is held out where that leaves both classes on both sides."""
    held = splits.folds(data.groups.tolist(), data.y.tolist(), 6, seed) == 0
    if len(np.unique(data.y[held])) < 2 or len(np.unique(data.y[~held])) < 2:
        return data, data  # too few to hold out: choose by the training loss, on unchanged views
    return data.take(~held), data.take(held)


def _out_of_time(state: TrainingState, job: _Job) -> str:
    best = min(state.history, key=lambda epoch: epoch["validation_loss"])
    return (
        f"Fine-tuning ends after epoch {len(state.history) - 1} of {job.epochs}, because the run may take no longer "
        f"(TRAINING_MAX_HOURS). The best epoch so far, {best['epoch']:.0f}, is kept."
    )


def _epoch(state: TrainingState, data: _Data, job: _Job) -> float:
    """One pass: each photo some times, augmented differently; both classes weigh the same. Returns the mean loss."""
    of_class = np.array([data.weights[data.y == label].sum() for label in (0, 1)])
    share = data.weights / of_class[data.y] * len(data.y) / 2
    copies = data.activations.changed.shape[1]
    rows = np.concatenate([state.rng.permutation(len(data.y)) for _ in range(min(_PASSES, copies))])
    total = 0.0
    for first in range(0, len(rows), _BATCH):
        job.reporter.check_stop()
        chosen = rows[first : first + _BATCH]
        variants = state.rng.integers(copies, size=len(chosen))
        batch = job.device.put(data.activations.changed[chosen, variants])
        target, weight = job.device.put(0.05 + 0.9 * data.y[chosen]), job.device.put(share[chosen])
        with job.device.computing():
            log_odds = state.network(batch)
        loss = nn.functional.binary_cross_entropy_with_logits(log_odds.float(), target, weight=weight)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(rows)


def _score(network: TailWithHead, plain: StoredRows, job: _Job) -> Floats:
    """Mean log-odds over the views, (N, V, ...) -> (N,): what serving computes without mirroring. Raises Cancelled."""
    log_odds = np.zeros(plain.shape[:2], dtype=np.float32)
    with torch.no_grad(), job.device.computing():
        for first in range(0, len(plain), _BATCH):
            job.reporter.check_stop()
            rows = slice(first, first + _BATCH)
            for view in range(plain.shape[1]):
                log_odds[rows, view] = network(job.device.put(plain[rows, view])).float().cpu().numpy()
    return np.asarray(log_odds.mean(axis=1), dtype=np.float32)


def _loss(network: TailWithHead, data: _Data, job: _Job) -> float:
    log_odds = _score(network, data.activations.plain, job).astype(np.float64)
    return float(np.average(np.logaddexp(0, log_odds) - data.y * log_odds, weights=data.weights))
