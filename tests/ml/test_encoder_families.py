"""Each family of image towers is cut and served, or refused in one sentence; never a traceback, never another answer.

The towers are the published ones, shortened and narrowed so that each takes about a second.
"""

from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import nn

from cataract.ml.learn.towers import cut, towers
from cataract.ml.learn.towers.architecture import image_config
from cataract.ml.learn.towers.base_release import Tower, export_tower
from cataract.ml.learn.towers.export import ExportFailed, run, to_onnx

_VIT = {"depth": 3, "embed_dim": 32, "num_heads": 2}
_SWIN = {"img_size": 32, "window_size": 4, "depths": (1, 1, 1), "num_heads": (1, 2, 4), "embed_dim": 8}

# family -> (timm's tower, what makes it small)
CUT: dict[str, tuple[str, dict[str, Any]]] = {
    "EVA01": ("eva_giant_patch14_224", {**_VIT, "img_size": 28}),
    "EVA02": ("eva02_tiny_patch14_224", {**_VIT, "img_size": 28}),
    "EVA02 of CLIP": ("eva02_base_patch16_clip_224", {**_VIT, "img_size": 32}),
    "PE-Core": ("vit_pe_core_tiny_patch16_384", {**_VIT, "img_size": 32}),
    "SigLIP": ("vit_base_patch16_siglip_224", {**_VIT, "img_size": 32}),
    "DINOv2": ("vit_small_patch14_reg4_dinov2", {**_VIT, "img_size": 28}),
    "DINOv3": ("vit_small_patch16_dinov3", {**_VIT, "img_size": 32}),
    "ViT with relative positions": ("vit_relpos_small_patch16_rpn_224", {**_VIT, "img_size": 32}),
    "ViT with shared relative positions": (
        "vit_relpos_small_patch16_rpn_224",
        {**_VIT, "img_size": 32, "shared_rel_pos": True},
    ),
    "Swin": ("swin_tiny_patch4_window7_224", _SWIN),
    "Swin v2": ("swinv2_tiny_window8_256", _SWIN),
    "FastViT (MobileCLIP)": ("fastvit_mci0", {"layers": (1, 1, 1, 1)}),
    "ResNet": ("test_resnet", {}),
    "ConvNeXt": ("test_convnext2", {}),
}
REFUSED = ["test_efficientnet", "test_maxvit", "test_mambaout", "test_nfnet"]


def small_tower(name: str, options: dict[str, Any]) -> Any:
    """The tower as open_clip holds it, with random weights and neither pooling nor projection of its own."""
    torch.manual_seed(0)
    visual = TimmModel("test_vit", embed_dim=16, pool="", proj="linear")
    visual.trunk, visual.head = timm.create_model(name, num_classes=0, **options), nn.Sequential()
    return visual.eval()


def pixels_for(options: dict[str, Any]) -> Any:
    size = options.get("img_size", 64)
    return np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)


def check_parity(visual: nn.Module, pixels: Any) -> None:
    """Trunk and tail on ONNX Runtime give what the whole tower gives, and the tail holds nothing of the trunk."""
    trunk, tail = cut.split(visual)
    with torch.no_grad():
        expected = nn.functional.normalize(visual(torch.from_numpy(pixels)), dim=-1).numpy()
        activations = trunk(torch.from_numpy(pixels)).numpy()
    first = to_onnx(trunk, pixels, source="pixels", target="activations")
    last = to_onnx(tail, activations, source="activations", target="embedding")
    assert np.abs(run(last, run(first, pixels)) - expected).max() < 1e-4
    of_tail, of_all = ({id(p) for p in module.parameters()} for module in (tail, visual))
    assert of_tail < of_all, "the tower's own weights are fine-tuned, and not all of them"


@pytest.mark.parametrize("family", CUT)
def test_a_family_is_cut_and_computes_what_it_did(family: str) -> None:
    name, options = CUT[family]
    check_parity(small_tower(name, options), pixels_for(options))


def test_the_resnets_of_openai_are_cut() -> None:
    visual = ModifiedResNet([1, 1, 1, 1], output_dim=16, heads=4, image_size=64, width=16).eval()
    check_parity(visual, pixels_for({}))


@pytest.mark.parametrize("name", REFUSED)
def test_another_family_is_refused_in_one_sentence(name: str) -> None:
    visual = small_tower(name, {})
    with pytest.raises(cut.CannotBeCut, match=r"A tower of type \w+ cannot be cut .* docs/encoders.md lists them"):
        cut.check_cut(visual, *cut.split(visual), torch.from_numpy(pixels_for({})))


def test_a_tower_whose_parts_do_other_things_than_their_names_say_is_refused() -> None:
    """A library may change what stands between two parts: no encoder may answer differently after the cut."""
    visual = small_tower("test_resnet", {})
    trunk, tail = cut.split(visual)
    visual.head = nn.Sequential(nn.Linear(visual.trunk.num_features, 4))
    with pytest.raises(cut.CannotBeCut):
        cut.check_cut(visual, trunk, tail, torch.zeros(2, 3, 64, 64))
    visual.trunk.layer4 = nn.Identity()
    with pytest.raises(cut.CannotBeCut):
        cut.check_cut(visual, trunk, tail, torch.from_numpy(pixels_for({})))


def test_what_onnx_lacks_is_said_in_one_sentence() -> None:
    """Rotations that are learnt for each block: ONNX Runtime gives them one photo at a time only."""
    options = {**_VIT, "img_size": 32}
    trunk, _ = cut.split(small_tower("vit_small_patch16_rope_mixed_224", options))
    with pytest.raises(ExportFailed, match="The activations cannot be exported for ONNX Runtime"):
        to_onnx(trunk, pixels_for(options), source="pixels", target="activations")


def test_a_plain_timm_tower_is_an_encoder_like_any_other() -> None:
    config = image_config("timm/test_vit3")
    assert config["vision_cfg"]["timm_proj"] == "none"
    model = towers.create_model(config).eval()
    graphs = export_tower(Tower("timm/test_vit3", "random", model, config))
    size = config["vision_cfg"]["image_size"]
    pixels = np.random.default_rng(0).normal(size=(1, 3, size, size)).astype(np.float32)
    alone: Any = timm.create_model("test_vit3", num_classes=0).eval()
    alone.load_state_dict(model.visual.trunk.state_dict())  # type: ignore[union-attr]
    with torch.no_grad():
        expected = nn.functional.normalize(alone(torch.from_numpy(pixels)), dim=-1).numpy()
    embedding = run(graphs["embed.onnx"], run(graphs["trunk.onnx"], pixels))
    assert embedding.shape == (1, config["embed_dim"])
    assert np.abs(embedding - expected).max() < 1e-4


def test_a_timm_transformer_takes_photos_of_another_size() -> None:
    config = image_config("timm/vit_small_patch14_dinov2")
    assert config["vision_cfg"]["image_size"] == 518 and config["vision_cfg"]["timm_pool"] == "token"
    smaller = {**config, "vision_cfg": {**config["vision_cfg"], "timm_model_name": "test_vit", "image_size": 64}}
    visual: Any = towers.create_model({**smaller, "embed_dim": 64}).visual
    assert visual(torch.zeros(1, 3, 64, 64)).shape == (1, 64)


def test_no_warning_that_weights_are_random(caplog: pytest.LogCaptureFixture) -> None:
    towers.create_model(towers.CONFIG)
    assert "No pretrained weights" not in caplog.text
    open_clip.factory.logging.warning("Another warning")
    assert "Another warning" in caplog.text


@pytest.mark.parametrize(("arch", "said"), [("timm/nothing", "timm knows no tower 'nothing'"), ("x", "timm/NAME")])
def test_an_unknown_tower_is_refused_by_name(arch: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        image_config(arch)
