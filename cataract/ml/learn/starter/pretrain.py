"""Train an image tower from scratch on labelled photos: the encoder of the starter release.

Every step draws its photos and augmentations from (seed, step) alone: a stopped training resumes exactly, and the same
seed gives the same tower on the same machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cataract.ml.arrays import Floats, Pixels
from cataract.ml.encoding.pupil import Pupil
from cataract.ml.learn.accurate.augment import changes, cloud, glare, hide, random_crop, transplant, veil
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.learn.towers.towers import IMAGE_SIZE, MEAN, STD, Tail, TailWithHead

BATCH = 64  # crops, two of each scene
_SAVE_EVERY = 100  # steps
_WARM_UP = 200  # steps
_COOL_DOWN = 0.25  # share of the steps, at the end, in which the learning rate falls
_SIDES = (80, 96, IMAGE_SIZE)  # of the crops until then: photos come in all resolutions, and small crops are cheap
_DOUBT = 0.3  # of the generalised cross-entropy: 0 trusts every label, 1 none that the network contradicts
_TRANSPLANTED, _HIDDEN, _STRANGE = 0.3, 0.08, 0.04  # shares of the scenes
_CLOUDED = 0.3  # share of the eyes with cataract that are healthy ones with a cloud drawn into the lens
_GLARING, _VEILED = 0.2, 0.2  # shares of the crops
# Weights of the losses beside the cross-entropy of cataract.
_OTHER, _ALIKE, _APART = 0.3, 0.1, 0.1


@dataclass(frozen=True)
class Photos:
    """Photos in memory.

    y: 0/1. clusters: of each photo, drawn with equal chance within a class and source. sources: of each photo; one with
    four times the clusters of another is drawn twice as often. other: 1 when another condition shows, 0 when none does,
    NaN where that is not known. outliers: pictures that show no eye, of neither class. whole: see `random_crop`.
    """

    pixels: Sequence[Pixels]
    pupils: Sequence[Pupil | None]
    y: NDArray[np.int64]
    clusters: NDArray[np.int64]
    sources: NDArray[np.str_]
    other: Floats
    outliers: Sequence[Pixels] = ()
    whole: float = 0.2


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
    moving average. A second head learns whether another condition shows, and the embeddings of two crops of one scene
    are pulled together while their dimensions are kept varied and uncorrelated (VICReg, Bardes et al. 2022): otherwise
    one logit is all that is left of them. Returns a module whose `tail.last` is the whole tower and whose `head` is
    the head. Resumes from `checkpoint` when that file exists. `trained`: the tower has been trained before, and the
    head starts where it divides the classes, not at random.
    """
    torch.manual_seed(seed)
    width = model.visual.head.proj.out_features
    standardise = nn.BatchNorm1d(width, affine=False)
    network = TailWithHead(Tail(nn.Sequential(model.visual, standardise)), nn.Linear(width, 1))
    nn.init.normal_(network.head.weight, std=1.0)
    network = network.to(memory_format=torch.channels_last)
    sampler = _Sampler(photos, seed)
    frozen = _freeze_first_stages(model.visual.trunk) if trained else []
    learner = _Learner(network)
    average = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995 if trained else 0.999),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(_groups(learner), lr=learning_rate)
    first = _resume(checkpoint, learner, average, optimizer)
    losses: list[float] = []
    learner.train()
    for stage in frozen:
        stage.eval()  # normalisation too keeps its statistics
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, steps)
        cooling = step >= (1 - _COOL_DOWN) * steps
        batch = sampler.batch(step, IMAGE_SIZE if cooling else _SIDES[step % len(_SIDES)])
        loss = learner(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
        optimizer.step()
        average.update_parameters(network)
        losses.append(loss.item())
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == steps:
            _save(checkpoint, step + 1, learner, average, optimizer)
            message = f"step {step + 1} of {steps}, loss {np.mean(losses[-_SAVE_EVERY:]):.3f} of {BATCH} crops"
            reporter.progress("encoder", (step + 1) / steps, message)
    network.load_state_dict(average.module.state_dict())
    _fold(model.visual.head.proj, standardise)
    network.tail.last = model.visual
    return network.eval()


@dataclass(frozen=True)
class _Batch:
    """Crops (BATCH, 3, S, S), crops 2k and 2k + 1 of one scene; their targets for both heads, (BATCH,) each."""

    pixels: Tensor
    cataract: Tensor
    other: Tensor


class _Learner(nn.Module):
    """The network with what only its training needs."""

    def __init__(self, network: TailWithHead) -> None:
        super().__init__()
        self.network = network
        self.other = nn.Linear(network.head.in_features, 1)
        nn.init.normal_(self.other.weight, std=1.0)

    def forward(self, batch: _Batch) -> Tensor:
        """The loss of a batch."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_FAST_BFLOAT16):
            raw = self.network.tail.last(batch.pixels).float()
        embedding = nn.functional.normalize(raw, dim=-1)
        loss = _doubting_loss(self.network.head(embedding).squeeze(-1), batch.cataract)
        known = ~batch.other.isnan()
        if known.any():
            log_odds = self.other(embedding).squeeze(-1)[known]
            loss = loss + _OTHER * nn.functional.binary_cross_entropy_with_logits(log_odds, batch.other[known])
        return loss + _varied_loss(raw)


# Emulated, bfloat16 takes twenty times as long.
_FAST_BFLOAT16: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _varied_loss(standard: Tensor) -> Tensor:
    """Barlow Twins on standardised embeddings, (2 N, E), rows 2k and 2k + 1 of one scene: the two alike, the dimensions
    uncorrelated."""
    correlation = standard.T @ standard / len(standard)
    apart = (correlation - torch.diag(correlation.diagonal())).square().sum() / standard.shape[1]
    return _ALIKE * nn.functional.mse_loss(standard[0::2], standard[1::2]) + _APART * apart


def _fold(projection: nn.Linear, norm: Any) -> None:
    """Write the statistics of a batch norm behind a linear layer into that layer."""
    scale = (norm.running_var + norm.eps).rsqrt()
    with torch.no_grad():
        projection.weight.mul_(scale[:, None])
        projection.bias.sub_(norm.running_mean).mul_(scale)


def _freeze_first_stages(tower: Any) -> list[nn.Module]:
    """The stem and the first two stages of a ResNet, which learn nothing from here on."""
    stages = [tower.conv1, tower.bn1, tower.layer1, tower.layer2]
    for stage in stages:
        stage.requires_grad_(requires_grad=False)
    return stages


def to_tensor(crops: Sequence[Pixels]) -> Tensor:
    """(S, S, 3) uint8 crops -> (N, 3, S, S) float32 in the tower's range, channels last in memory."""
    batch: Floats = np.stack(crops).astype(np.float32)
    batch *= (1 / (255 * np.asarray(STD))).astype(np.float32)
    batch -= (np.asarray(MEAN) / np.asarray(STD)).astype(np.float32)
    return torch.from_numpy(batch).permute(0, 3, 1, 2)


def _doubting_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Generalised cross-entropy (Zhang and Sabuncu 2018) with smoothed labels: a label that the network contradicts
    firmly pulls less, because one in twenty of the public labels is wrong."""
    given = torch.sigmoid(torch.stack([-logits, logits])).clamp_min(1e-6)
    truth = torch.stack([1 - target, target]) * 0.9 + 0.05
    return (truth * (1 - given**_DOUBT) / _DOUBT).sum(dim=0).mean()


class _Sampler:
    """Batches with as many scenes of one class as of the other, every original of a class and source equally often."""

    def __init__(self, photos: Photos, seed: int) -> None:
        self._photos = photos
        self._seed = seed
        self._changes = {side: changes(side) for side in _SIDES}
        self._members: list[list[list[NDArray[np.int64]]]] = []  # class -> source -> cluster -> photos
        self._chances: list[NDArray[np.float64]] = []
        for label in (0, 1):
            own = np.flatnonzero(photos.y == label)
            if not len(own):
                raise ValueError("There must be photos of both classes to learn from.")
            sources = [own[photos.sources[own] == source] for source in np.unique(photos.sources[own])]
            self._members.append(
                [
                    [rows[photos.clusters[rows] == cluster] for cluster in np.unique(photos.clusters[rows])]
                    for rows in sources
                ]
            )
            weights = np.sqrt([len(clusters) for clusters in self._members[-1]])
            self._chances.append(weights / weights.sum())

    def batch(self, step: int, side: int) -> _Batch:
        """The crops of one step, from (seed, step) alone."""
        rng = np.random.default_rng((self._seed, step))
        change = self._changes[side]
        change.set_random_seed(int(rng.integers(2**31)))
        scenes = [self._scene(number % 2, rng) for number in range(BATCH // 2)]
        crops = [self._crop(scene, side, rng) for scene in scenes for _ in range(2)]
        changed = [change(image=crop)["image"] for crop in crops]
        targets = np.repeat([(scene.cataract, scene.other) for scene in scenes], 2, axis=0).astype(np.float32)
        return _Batch(to_tensor(changed), *torch.from_numpy(targets).unbind(1))

    def _scene(self, label: int, rng: np.random.Generator) -> "_Scene":
        """A photo of the class, its eye sometimes in other surroundings or hidden; or a picture without an eye."""
        if len(self._photos.outliers) and rng.random() < _STRANGE:
            picture = self._photos.outliers[int(rng.integers(len(self._photos.outliers)))]
            return _Scene(picture, None, 0.5, math.nan)
        scene, draw = self._eye(label, rng), rng.random()
        if scene.pupil is None or not scene.pupil.is_sure:
            return scene
        if draw < _TRANSPLANTED:
            return self._surround(scene, rng)
        if draw > 1 - _HIDDEN:
            return replace(scene, photo=hide(scene.photo, scene.pupil, rng), cataract=0.5)
        return scene

    def _crop(self, scene: "_Scene", side: int, rng: np.random.Generator) -> Pixels:
        crop = random_crop(scene.photo, scene.pupil, side, rng, whole=self._photos.whole)
        if rng.random() < _VEILED:
            crop = veil(crop, rng)
        return glare(crop, rng) if rng.random() < _GLARING else crop

    def _surround(self, scene: "_Scene", rng: np.random.Generator) -> "_Scene":
        """The eye in the surroundings of a photo of either class, if that photo's own eye can be located."""
        place = self._photo(int(rng.integers(2)), rng)
        if scene.pupil is None or place.pupil is None or not place.pupil.is_sure:
            return scene
        photo = transplant(scene.photo, scene.pupil, place.photo, place.pupil, rng)
        return replace(place, photo=photo, cataract=scene.cataract)

    def _eye(self, label: int, rng: np.random.Generator) -> "_Scene":
        if label == 1 and rng.random() < _CLOUDED:
            for _ in range(3):  # in about half of the photos the pupil can be told from the iris
                scene = self._photo(0, rng)
                sure = scene.pupil is not None and scene.pupil.is_sure
                clouded = cloud(scene.photo, scene.pupil, rng) if scene.pupil is not None and sure else None
                if clouded is not None:
                    return replace(scene, photo=clouded, cataract=1.0)
        return self._photo(label, rng)

    def _photo(self, label: int, rng: np.random.Generator) -> "_Scene":
        clusters = self._members[label][rng.choice(len(self._chances[label]), p=self._chances[label])]
        cluster = clusters[rng.integers(len(clusters))]
        index = int(cluster[rng.integers(len(cluster))])
        photos = self._photos
        return _Scene(photos.pixels[index], photos.pupils[index], float(label), float(photos.other[index]))


@dataclass(frozen=True)
class _Scene:
    """A photo to crop; cataract: 0 or 1, a half for neither; other: see `Photos`."""

    photo: Pixels
    pupil: Pupil | None
    cataract: float
    other: float


def _schedule(step: int, steps: int) -> float:
    """The factor of the learning rate: warm-up, one, and a fall to a hundredth along half a cosine.

    Until the decay it does not depend on `steps`: a training can be prolonged.
    """
    left = (steps - step) / max(1.0, _COOL_DOWN * steps)
    fall = 1.0 if left >= 1 else 0.01 + 0.99 * 0.5 * (1 - math.cos(math.pi * left))
    return min(fall, (step + 1) / _WARM_UP)


def _groups(network: nn.Module) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels, none for biases and norms."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
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
