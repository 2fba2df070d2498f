"""The encoder of a starter release: its training on the noisy photos, and its export."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import EncoderSpec
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.learn.fit.export import to_onnx
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
from cataract.ml.learn.reporter import Reporter
from cataract.ml.learn.starter.collection import Collection, draw_eyes
from cataract.ml.learn.starter.pretrain import Photos, pretrain
from cataract.ml.release.manifest import verify

# Not the whole photo: it says more about who took it than about the lens (docs/experiments.md), and costs a third.
VIEWS = ("centre", "pupil")


def train_encoder(
    photos: Collection,
    clusters: NDArray[np.int64],
    parts: Path,
    *,
    start: Path | None,
    seed: int,
    steps: int,
    reporter: Reporter,
) -> TailWithHead:
    """Train the tower on the photos that share no cluster with the clean set.

    start: a release whose encoder is trained further; it must have been trained on the same photos. Raises ValueError
    when no photo is left, ReleaseCorrupt.
    """
    origin = "" if start is None else f"-{verify(start).encoder.hash[:8]}"
    clean = np.unique(clusters[: photos.clean])
    noisy = np.flatnonzero(~np.isin(clusters, clean))
    if not len(noisy):
        raise ValueError("No photo is left to train the encoder on: give a second folder with other photos.")
    drawn, drawn_y, drawn_clusters = draw_eyes()
    training = Photos(
        [*(photos.pixels[row] for row in noisy), *drawn],
        [*(photos.pupils[row] for row in noisy), *(find_pupil(eye) for eye in drawn)],
        np.concatenate([photos.y[noisy], drawn_y]),
        np.concatenate([clusters[noisy], drawn_clusters + clusters.max() + 1]),
        whole=0.2,
    )
    return pretrain(
        create_model(CONFIG) if start is None else load_encoder(start),
        training,
        steps=steps,
        seed=seed,
        checkpoint=parts / f"encoder-{seed}-{steps}{origin}.safetensors",
        learning_rate=2e-3 if start is None else 1.2e-3,
        trained=start is not None,
        reporter=reporter,
    )


def export_encoder(network: TailWithHead, folder: Path) -> EncoderSpec:
    """Write the encoder's files and the accurate model, from which fine-tuning starts.

    The accurate model is the tower with its head as trained: fine-tuning them on the clean set made them worse, above
    all on augmented photos (docs/experiments.md).
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
