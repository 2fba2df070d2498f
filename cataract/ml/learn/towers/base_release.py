"""An open_clip image tower -> a base release: its exported encoder, and untrained models.

A base release is complete: all code that takes a release accepts it. Its policy sends every photo to a
clinician. A training run of kind "both" makes a useful release of it.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cataract.ml.encoding import features
from cataract.ml.encoding.encoder import EncoderSpec
from cataract.ml.encoding.framing import FILE as FRAMING
from cataract.ml.encoding.framing import Framing
from cataract.ml.learn.golden import write_golden
from cataract.ml.learn.towers.architecture import image_config
from cataract.ml.learn.towers.cut import check_cut, split
from cataract.ml.learn.towers.export import to_onnx
from cataract.ml.learn.towers.quantise import to_int8
from cataract.ml.learn.towers.towers import MEAN, STD, TailWithHead, create_model, save_encoder
from cataract.ml.release.description import AccurateSpec, Quantisation, ReleaseDescription
from cataract.ml.release.manifest import Manifest, write_json, write_manifest

GRAPHS = ("trunk.onnx", "embed.onnx", "accurate.onnx")


@dataclass(frozen=True)
class Tower:
    """An open_clip model whose text tower is as small as possible, its config, and how photos become its input."""

    name: str
    weights: str  # "random", or where they came from: for the manifest
    model: nn.Module
    config: dict[str, Any]
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"

    @property
    def image_size(self) -> int:
        return int(self.config["vision_cfg"].get("image_size", 224))


def random_tower(arch: str, *, seed: int = 0) -> Tower:
    """`arch` with random weights: for measuring speed, and for tests. Raises ValueError for an unknown architecture."""
    config = image_config(arch)
    torch.manual_seed(seed)
    return Tower(arch, "random", create_model(config).eval(), config)


def export_tower(tower: Tower, *, seed: int = 0) -> dict[str, bytes]:
    """trunk.onnx, embed.onnx and accurate.onnx (whose head answers 0, undecided, to everything), each checked against
    torch. Raises ValueError for a tower that cannot be cut, ExportFailed when a graph computes something else."""
    trunk, tail = split(tower.model.visual)  # type: ignore[arg-type]
    head = nn.Linear(int(tower.config["embed_dim"]), 1)
    nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
    size = tower.image_size
    example = np.random.default_rng(seed).normal(size=(2, 3, size, size)).astype(np.float32)
    activations = check_cut(tower.model.visual, trunk, tail, torch.from_numpy(example)).numpy()  # type: ignore[arg-type]
    return {
        "trunk.onnx": to_onnx(trunk, example, source="pixels", target="activations"),
        "embed.onnx": to_onnx(tail, activations, source="activations", target="embedding"),
        "accurate.onnx": to_onnx(TailWithHead(tail, head), activations, source="activations", target="logit"),
    }


def write_base(
    folder: Path,
    tower: Tower,
    graphs: Mapping[str, bytes],
    gate: Mapping[str, Any],
    *,
    framing: Framing | None = None,
    views: Sequence[str] = ("full",),
    fast: str = "",
    int8: bool = False,
    trainable: bool = True,
) -> Manifest:
    """Write a base release into `folder` (empty, or new).

    graphs: of `export_tower`; gate: the content of gate.json, fitted on hand-crafted features, which are the same for
    every encoder; framing: how photos are cut and turned first, likewise; fast: LightGBM text for the encoder's input,
    an undecided one when not given; int8: quantise the graphs; trainable: keep the weights that a training starts from.
    Raises ValueError when the gate needs another encoder.
    """
    if gate["ood"]["of"] != "handmade":
        raise ValueError("The gate was fitted on another encoder's embeddings. Use one of hand-crafted features.")
    folder.mkdir(parents=True, exist_ok=True)
    dim = int(tower.config["embed_dim"]) * len(views) + features.LENGTH
    for name in GRAPHS:
        (folder / name).write_bytes(to_int8(graphs[name]) if int8 else graphs[name])
    if trainable:
        save_encoder(folder, tower.model, tower.config)
    (folder / "fast.txt").write_text(fast or _undecided(dim), encoding="utf-8")
    plain = {"kind": "temperature", "temperature": 1.0}
    write_json(folder / "calibration.json", {"fast": plain, "accurate": plain})
    if framing is not None and framing.weights is not None:
        write_json(folder / FRAMING, framing.as_json())
    # The rule for other findings reads the embeddings of the encoder it was fitted with.
    write_json(folder / "gate.json", {name: part for name, part in gate.items() if name != "other"})
    write_json(folder / "policy.json", _ALL_TO_CLINICIANS)
    write_json(folder / "seen.json", {"hashes": []})
    (folder / "card.md").write_text(_card(tower), encoding="utf-8")
    description = ReleaseDescription(
        name="base",
        encoder=_encoder_spec(tower, views, dim),
        accurate=AccurateSpec(tuple(views)),
        quantisation=Quantisation(dict.fromkeys(GRAPHS, "int8" if int8 else "fp32")),
        data={"photos": 0},
    )
    write_golden(folder, description)
    return write_manifest(folder, description)


def _encoder_spec(tower: Tower, views: Sequence[str], dim: int) -> EncoderSpec:
    return EncoderSpec(
        name=tower.name,
        arch=f"{tower.name}, weights: {tower.weights}",
        hash="",
        image_size=tower.image_size,
        mean=tower.mean,
        std=tower.std,
        resize_mode=tower.resize_mode,
        interpolation=tower.interpolation,
        views=tuple(views),
        handmade=True,
        embedding_dim=int(tower.config["embed_dim"]),
        dim=dim,
    )


def _undecided(dim: int) -> str:
    """The text of a LightGBM model of `dim` features that scores everything 0."""
    import lightgbm

    x, y = np.zeros((4, dim), dtype=np.float32), np.array([0, 1, 0, 1])
    x[:, 0] = y
    params = {"objective": "binary", "num_leaves": 2, "min_data_in_leaf": 1, "learning_rate": 1e-9, "verbosity": -1}
    dataset = lightgbm.Dataset(x, y, params={"min_data_in_bin": 1, "verbosity": -1})
    return str(lightgbm.train(params, dataset, num_boost_round=1).model_to_string())


_UNTRAINED = "No photo is answered without a person: the models are untrained."
_ALL_TO_CLINICIANS: dict[str, Any] = {
    "version": "all-to-people",
    "fast_band": {"low": 0.0, "high": 1.0},
    "auto": {"normal_below": 0.0, "cataract_above": 1.0},
    "disagreement_margin": 0.1,
    "accurate_weight": 0.5,
    "coverage": 0.0,
    "n": 0,
    "normal": {"threshold": 0.0, "missed": 0, "of": 0, "bound": 1.0, "message": _UNTRAINED},
    "cataract": {
        "threshold": 1.0,
        "false_alarms": 0,
        "of": 0,
        "found": 0,
        "cataracts": 0,
        "bound": 1.0,
        "message": "Train both models first.",
    },
}


def _card(tower: Tower) -> str:
    text = io.StringIO()
    text.write(f"# A base release: {tower.name}, weights: {tower.weights}\n\n")
    text.write("Only its encoder is useful: both models answer 0.5 to every photo, and a clinician sees each one.\n")
    text.write("Train a release from it (both models) before promoting anything.\n")
    return text.getvalue()
