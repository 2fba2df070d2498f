"""The split tower: trunk and tail together are open_clip's encode_image, in torch and in ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from cataract.ml.encoding.encoder import Graph
from cataract.ml.learn.towers import cut, towers
from cataract.ml.learn.towers.export import ExportFailed, to_onnx

SMALL_TEXT = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "starter": towers.CONFIG,
    "vit": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": SMALL_TEXT,
    },
    "timm vit": {
        "embed_dim": 16,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": SMALL_TEXT,
    },
    "timm convnext": {
        "embed_dim": 16,
        "vision_cfg": {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear", "image_size": 64},
        "text_cfg": SMALL_TEXT,
    },
}


def check_parity(model: Any, size: int) -> None:
    model.eval()
    pixels = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    trunk, tail = cut.split(model.visual)
    with torch.no_grad():
        expected = model.encode_image(torch.from_numpy(pixels), normalize=True).numpy()
        activations = trunk(torch.from_numpy(pixels)).numpy()
    first = to_onnx(trunk, pixels, source="pixels", target="activations")
    second = to_onnx(tail, activations, source="activations", target="embedding")
    graphs = [Graph(data, providers=("CPUExecutionProvider",), threads=1) for data in (first, second)]
    assert np.abs(graphs[1].run(graphs[0].run(pixels)) - expected).max() < 1e-4


@pytest.mark.parametrize("name", CONFIGS)
def test_trunk_and_tail_are_encode_image(name: str) -> None:
    config = CONFIGS[name]
    check_parity(towers.create_model(config), config["vision_cfg"]["image_size"])


@pytest.mark.slow
def test_trunk_and_tail_are_encode_image_for_vit_b_32() -> None:
    check_parity(open_clip.create_model("ViT-B-32", pretrained=None), 224)


def test_an_encoder_is_saved_and_loaded(tmp_path: Path) -> None:
    model = towers.create_model(towers.CONFIG).eval()
    towers.save_encoder(tmp_path, model, towers.CONFIG)
    again = towers.load_encoder(tmp_path)
    pixels = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (again.encode_image(pixels) - model.encode_image(pixels)).abs().max()  # type: ignore[operator]
    assert difference < 0.02  # the file holds 16-bit floats


def test_a_tower_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be cut"):
        cut.split(torch.nn.Linear(2, 2))


def test_a_graph_that_computes_something_else_is_refused() -> None:
    class Unsteady(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand(1)

    with pytest.raises(ExportFailed, match="differs from torch"):
        to_onnx(Unsteady(), np.zeros((2, 3), dtype=np.float32), source="a", target="b")
