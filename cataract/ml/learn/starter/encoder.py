"""The encoder of a starter release: its training in two stages, and its export.

The base learns from scratch on the noisy photos. It is then trained further on all sources: once for the release, and
once for each group of sources that is left out to be measured on.
"""

import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import EncoderSpec
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.reporter import Reporter
from cataract.ml.learn.starter.collection import Collection, draw_eyes
from cataract.ml.learn.starter.labels import NO_EYE
from cataract.ml.learn.starter.pretrain import Photos, pretrain
from cataract.ml.learn.towers.cut import split
from cataract.ml.learn.towers.export import to_onnx
from cataract.ml.learn.towers.towers import (
    CONFIG,
    IMAGE_SIZE,
    MEAN,
    STD,
    TailWithHead,
    create_model,
    load_encoder,
    save_encoder,
)
from cataract.ml.release.manifest import verify

# Not the whole photo: it says more about who took it than about the lens (docs/experiments.md), and costs a third.
VIEWS = ("centre", "pupil")


def train_base(
    photos: Collection,
    clusters: NDArray[np.int64],
    parts: Path,
    *,
    start: Path | None,
    seed: int,
    steps: int,
    reporter: Reporter,
) -> nn.Module:
    """The tower trained from scratch on the noisy photos that share no cluster with any other source's.

    start: a release whose encoder is the base; it must have been trained on the same photos. Raises ValueError when no
    photo is left, ReleaseCorrupt.
    """
    model: Any = create_model(CONFIG)
    if start is not None:
        verify(start)
        model.load_state_dict(load_encoder(start).state_dict(), strict=False)
        return cast(nn.Module, model)
    checkpoint = parts / f"base-{seed}-{steps}.safetensors"
    noisy = np.arange(photos.clean, photos.clean + photos.noisy)
    elsewhere = np.delete(np.arange(len(clusters)), noisy)
    rows = noisy[~np.isin(clusters[noisy], clusters[elsewhere])]
    training = _photos(photos, clusters, rows, outliers=())
    pretrain(model, training, steps=steps, seed=seed, checkpoint=checkpoint, reporter=reporter)
    return cast(nn.Module, model)


def train_further(
    base: nn.Module,
    photos: Collection,
    clusters: NDArray[np.int64],
    checkpoint: Path,
    *,
    leave_out: Sequence[str],
    seed: int,
    steps: int,
    reporter: Reporter,
) -> TailWithHead:
    """A copy of the base trained further on the noisy photos and on the other sources, without those to leave out.

    No photo of the clean set or of a source that is left out is seen, and no copy of one.
    """
    hidden = [photos.home, *leave_out]
    seen = np.isin(clusters, clusters[np.isin(photos.sources, hidden)], invert=True) & (photos.y != NO_EYE)
    outliers = photos.rows(eyes=False, sources=[name for name in photos.other_sources if name not in leave_out])
    training = _photos(photos, clusters, np.flatnonzero(seen), outliers=outliers)
    return pretrain(
        copy.deepcopy(base),
        training,
        steps=steps,
        seed=seed,
        checkpoint=checkpoint,
        learning_rate=1.2e-3,
        trained=True,
        reporter=reporter,
    )


def _photos(
    photos: Collection, clusters: NDArray[np.int64], rows: NDArray[np.int64], *, outliers: Iterable[int]
) -> Photos:
    if not len(rows):
        raise ValueError("No photo is left to train the encoder on: give a second folder with other photos.")
    drawn, drawn_y, drawn_clusters = draw_eyes()
    return Photos(
        pixels=[*(photos.pixels[row] for row in rows), *drawn],
        pupils=[*(photos.pupils[row] for row in rows), *(find_pupil(eye) for eye in drawn)],
        y=np.concatenate([photos.y[rows], drawn_y]),
        clusters=np.concatenate([clusters[rows], drawn_clusters + clusters.max() + 1]),
        sources=np.concatenate([photos.sources[rows], np.repeat("drawn", len(drawn))]),
        other=np.concatenate([photos.other[rows], np.zeros(len(drawn), dtype=np.float32)]),
        outliers=[photos.pixels[row] for row in outliers],
    )


def export_encoder(network: TailWithHead, folder: Path) -> EncoderSpec:
    """Write the encoder's files and the accurate model, from which fine-tuning starts.

    The accurate model is the tower with its head as trained: fine-tuning them on the clean set made them worse, above
    all on augmented photos (docs/experiments.md).
    """
    folder.mkdir(parents=True, exist_ok=True)
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
    return EncoderSpec(
        name="cataract-seresnet",
        arch="SE-ResNet, 1.4 M parameters, from scratch",
        hash="",
        image_size=IMAGE_SIZE,
        mean=MEAN,
        std=STD,
        resize_mode="squash",
        views=VIEWS,
        handmade=True,
        embedding_dim=embedding_dim,
        dim=embedding_dim * len(VIEWS) + features.LENGTH,
    )
