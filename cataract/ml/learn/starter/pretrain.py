"""Train an image tower from scratch on labelled photos: the encoder of the starter release.

Every step draws its photos and augmentations from (seed, step) alone: a stopped training resumes exactly, and the same
seed gives the same tower on the same machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.encoding.pupil import Pupil
from cataract.ml.learn.fit.augment import changes, cloud, glare, hide, random_crop, transplant
from cataract.ml.learn.fit.towers import IMAGE_SIZE, MEAN, STD, Tail, TailWithHead
from cataract.ml.learn.reporter import SILENT, Reporter

BATCH = 64
_SAVE_EVERY = 100  # steps
_WARM_UP = 200  # steps
_COOL_DOWN = 0.25  # share of the steps, at the end, in which the learning rate falls
_SIDES = (80, 96, IMAGE_SIZE)  # of the crops until then: photos come in all resolutions, and small crops are cheap
_DOUBT = 0.3  # of the generalised cross-entropy: 0 trusts every label, 1 none that the network contradicts
_TRANSPLANTED, _GLARING, _HIDDEN = 0.3, 0.15, 0.06  # shares of the crops
_CLOUDED = 0.25  # share of the eyes with cataract that are healthy ones with a cloud drawn into the lens


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
    trained: bool = False,
    reporter: Reporter = SILENT,
) -> TailWithHead:
    """Train `model.visual` with a linear head on its normalised embedding; leaves the averaged weights in both.

    Generalised cross-entropy with smoothed labels, AdamW, a constant learning rate that falls at the end, exponential
    moving average, bfloat16 activations. Returns a module whose `tail.last` is the whole tower and whose `head` is the
    head. Resumes from `checkpoint` when that file exists. `trained`: the tower has been trained before, and the head
    starts where it divides the classes, not at random.
    """
    torch.manual_seed(seed)
    network = TailWithHead(Tail(model.visual), nn.Linear(model.visual.head.proj.out_features, 1))
    nn.init.normal_(network.head.weight, std=1.0)
    network = network.to(memory_format=torch.channels_last)
    sampler = _Sampler(photos, seed)
    if trained:
        _place_head(network, sampler)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(_groups(network), lr=learning_rate)
    first = _resume(checkpoint, network, average, optimizer)
    losses: list[float] = []
    network.train()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, steps)
        cooling = step >= (1 - _COOL_DOWN) * steps
        pixels, target = sampler.batch(step, IMAGE_SIZE if cooling else _SIDES[step % len(_SIDES)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(pixels).float()
        loss = _doubting_loss(logits, target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item())
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == steps:
            _save(checkpoint, step + 1, network, average, optimizer)
            message = f"step {step + 1} of {steps}, loss {np.mean(losses[-_SAVE_EVERY:]):.3f} of {BATCH} crops"
            reporter.progress("encoder", (step + 1) / steps, message)
    network.load_state_dict(average.module.state_dict())
    return network.eval()


def _place_head(network: TailWithHead, sampler: "_Sampler") -> None:
    """Set the head across the line between the two classes' mean embeddings, log-odds of -3 and 3 at these."""
    network.eval()
    sums = torch.zeros(2, network.head.in_features)
    with torch.no_grad():
        for step in range(10):
            pixels, target = sampler.batch(step, IMAGE_SIZE)
            embeddings = network.tail(pixels)
            sums += torch.stack([embeddings[target == label].mean(dim=0) for label in (0, 1)]) / 10
        along = sums[1] - sums[0]
        network.head.weight.copy_((6 * along / along.square().sum())[None])
        network.head.bias.copy_(-network.head.weight @ sums.mean(dim=0))


def to_tensor(crops: Sequence[Pixels]) -> Tensor:
    """(S, S, 3) uint8 crops -> (N, 3, S, S) float32 in the tower's range, channels last in memory."""
    batch = np.stack(crops).astype(np.float32) / 255
    normal: Floats = ((batch - np.asarray(MEAN)) / np.asarray(STD)).astype(np.float32)
    return torch.from_numpy(normal).permute(0, 3, 1, 2)


def _doubting_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Generalised cross-entropy (Zhang and Sabuncu 2018) with smoothed labels: a label that the network contradicts
    firmly pulls less, because one in twenty of the public labels is wrong."""
    given = torch.sigmoid(torch.stack([-logits, logits])).clamp_min(1e-6)
    truth = torch.stack([1 - target, target]) * 0.9 + 0.05
    return (truth * (1 - given**_DOUBT) / _DOUBT).sum(dim=0).mean()


class _Sampler:
    """Batches with as many photos of one class as of the other, every original of a class equally often."""

    def __init__(self, photos: Photos, seed: int) -> None:
        self._photos = photos
        self._seed = seed
        self._changes = {side: changes(side) for side in _SIDES}
        self._members: list[list[NDArray[np.int64]]] = []
        for label in (0, 1):
            own = np.flatnonzero(photos.y == label)
            if not len(own):
                raise ValueError("There must be photos of both classes to learn from.")
            self._members.append([own[photos.clusters[own] == cluster] for cluster in np.unique(photos.clusters[own])])

    def batch(self, step: int, side: int) -> tuple[Tensor, Tensor]:
        """(BATCH, 3, side, side) crops and their targets."""
        rng = np.random.default_rng((self._seed, step))
        change = self._changes[side]
        change.set_random_seed(int(rng.integers(2**31)))
        crops, targets = zip(*(self._crop(number % 2, side, rng) for number in range(BATCH)), strict=True)
        changed = [change(image=crop)["image"] for crop in crops]
        return to_tensor(changed), torch.tensor(targets, dtype=torch.float32)

    def _crop(self, label: int, side: int, rng: np.random.Generator) -> tuple[Pixels, float]:
        """(crop, target); half, for neither class, where the lens is hidden."""
        (photo, pupil), target, draw = self._eye(label, rng), float(label), rng.random()
        if pupil is not None and pupil.is_sure:
            if draw < _TRANSPLANTED:
                photo, pupil = self._surround(photo, pupil, rng)
            elif draw > 1 - _HIDDEN:
                photo, target = hide(photo, pupil, rng), 0.5
        crop = random_crop(photo, pupil, side, rng, whole=self._photos.whole)
        return (glare(crop, rng) if rng.random() < _GLARING else crop), target

    def _surround(self, photo: Pixels, pupil: Pupil, rng: np.random.Generator) -> tuple[Pixels, Pupil]:
        """The eye in the surroundings of a photo of either class, if that photo's own eye can be located."""
        other, place = self._photo(int(rng.integers(2)), rng)
        if place is None or not place.is_sure:
            return photo, pupil
        return transplant(photo, pupil, other, place, rng), place

    def _eye(self, label: int, rng: np.random.Generator) -> tuple[Pixels, Pupil | None]:
        if label == 1 and rng.random() < _CLOUDED:
            for _ in range(3):  # in about half of the photos the pupil can be told from the iris
                photo, pupil = self._photo(0, rng)
                clouded = cloud(photo, pupil, rng) if pupil and pupil.is_sure else None
                if clouded is not None:
                    return clouded, pupil
        return self._photo(label, rng)

    def _photo(self, label: int, rng: np.random.Generator) -> tuple[Pixels, Pupil | None]:
        cluster = self._members[label][rng.integers(len(self._members[label]))]
        index = int(cluster[rng.integers(len(cluster))])
        return self._photos.pixels[index], self._photos.pupils[index]


def _schedule(step: int, steps: int) -> float:
    """The factor of the learning rate: warm-up, one, and a fall to a hundredth along half a cosine.

    Until the decay it does not depend on `steps`: a training can be prolonged.
    """
    left = (steps - step) / max(1.0, _COOL_DOWN * steps)
    fall = 1.0 if left >= 1 else 0.01 + 0.99 * 0.5 * (1 - math.cos(math.pi * left))
    return min(fall, (step + 1) / _WARM_UP)


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
