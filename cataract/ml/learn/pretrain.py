"""Train an image tower from scratch on labelled photos: the encoder of the starter release.

Every step draws its photos and changes from (seed, step) alone, so a training that was stopped goes on as if nothing
had happened, and the same seed gives the same tower on the same machine.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.eye import Pupil
from cataract.ml.learn.augment import changes, random_crop
from cataract.ml.learn.encoder import IMAGE_SIZE, MEAN, STD, Tail, TailWithHead

BATCH = 64
_SAVE_EVERY = 200  # steps
_ROUNDS = (6, 4, 4)  # their lengths: of the steps


@dataclass(frozen=True)
class Photos:
    """Photos in memory. clusters: of each photo, drawn with equal chance within a class; whole: see `random_crop`."""

    pixels: Sequence[Pixels]
    pupils: Sequence[Pupil | None]
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    whole: float = 0.35


def pretrain(
    model: Any,
    photos: Photos,
    *,
    steps: int,
    seed: int,
    checkpoint: Path,
    learning_rate: float = 2e-3,
    on_progress: Callable[[float, str], None],
) -> TailWithHead:
    """Train `model.visual` with a linear head on its normalised embedding; leaves the averaged weights in both.

    Cross-entropy with smoothed labels, AdamW, cosine schedule with restarts, exponential moving average. Returns a
    module whose `tail.last` is the whole tower and whose `head` is the head. Goes on from `checkpoint` when that file
    exists.
    """
    torch.manual_seed(seed)
    network = TailWithHead(Tail(model.visual), nn.Linear(model.visual.head.proj.out_features, 1))
    nn.init.normal_(network.head.weight, std=1.0)
    network = network.to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(_groups(network), lr=learning_rate)
    sampler = _Sampler(photos, seed)
    first = _resume(checkpoint, network, average, optimizer)
    losses: list[float] = []
    network.train()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, steps)
        pixels, target = sampler.batch(step)
        loss = nn.functional.binary_cross_entropy_with_logits(network(pixels), 0.05 + 0.9 * target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item())
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == steps:
            _save(checkpoint, step + 1, network, average, optimizer)
            on_progress((step + 1) / steps, f"step {step + 1} of {steps}, loss {np.mean(losses[-_SAVE_EVERY:]):.3f}")
    network.load_state_dict(average.module.state_dict())
    return network.eval()


def to_tensor(crops: Sequence[Pixels]) -> Tensor:
    """(S, S, 3) uint8 crops -> (N, 3, S, S) float32 in the tower's range, channels last in memory."""
    batch = np.stack(crops).astype(np.float32) / 255
    normal: Floats = ((batch - np.asarray(MEAN)) / np.asarray(STD)).astype(np.float32)
    return torch.from_numpy(normal).permute(0, 3, 1, 2)


class _Sampler:
    """Batches with as many photos of one class as of the other, every original of a class equally often."""

    def __init__(self, photos: Photos, seed: int) -> None:
        self._photos = photos
        self._seed = seed
        self._changes = changes(IMAGE_SIZE)
        self._members: list[list[NDArray[np.int64]]] = []
        for label in (0, 1):
            own = np.flatnonzero(photos.y == label)
            if not len(own):
                raise ValueError("There must be photos of both classes to learn from.")
            self._members.append([own[photos.clusters[own] == cluster] for cluster in np.unique(photos.clusters[own])])

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self._seed, step))
        self._changes.set_random_seed(int(rng.integers(2**31)))
        target = np.arange(BATCH) % 2
        crops = [self._changes(image=self._crop(int(label), rng))["image"] for label in target]
        return to_tensor(crops), torch.from_numpy(target.astype(np.float32))

    def _crop(self, label: int, rng: np.random.Generator) -> Pixels:
        photos = self._photos
        cluster = self._members[label][rng.integers(len(self._members[label]))]
        index = int(cluster[rng.integers(len(cluster))])
        return random_crop(photos.pixels[index], photos.pupils[index], IMAGE_SIZE, rng, whole=photos.whole)


def _schedule(step: int, steps: int) -> float:
    """Rounds of warm-up and half a cosine (Loshchilov and Hutter 2017), the later ones shorter and lower."""
    shares = np.array(_ROUNDS) / sum(_ROUNDS)
    ends = np.round(np.cumsum(shares) * steps).astype(int)
    number = min(int(np.searchsorted(ends, step, side="right")), len(ends) - 1)
    start = int(ends[number - 1]) if number else 0
    at, length, peak = step - start, int(ends[number]) - start, 1.0 if number == 0 else 0.6
    warm = max(1, length // 20)
    if at < warm:
        return peak * (at + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (at - warm) / max(1, length - warm))))


def _groups(network: nn.Module) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels, none for biases and norms."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def _save(path: Path, step: int, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = {"step": torch.tensor(step)}
    tensors |= {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    temporary = path.with_suffix(".part")
    save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, temporary)
    temporary.replace(path)


def _resume(path: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load what `_save` wrote and return the number of steps done; 0 when there is nothing."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    for prefix, module in (("network.", network), ("average.", average)):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        module.load_state_dict(own)
    state = optimizer.state_dict()
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state["state"].setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(state)
    return int(tensors["step"])
