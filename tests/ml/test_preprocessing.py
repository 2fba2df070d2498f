"""Weights from a file bring their own normalisation, resizing and activation, or are refused; nothing is guessed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import save_file

from cataract.ml.encoding.encoder import EncoderSpec, prepare
from cataract.ml.learn.towers.base_release import random_tower
from cataract.ml.learn.towers.preprocessing import WeightsUnavailable, of_file, of_tag
from cataract.ml.learn.towers.pretrained import local_tower
from cataract.ml.learn.towers.towers import CONFIG
from cataract.ml.release.description import FileRecord
from cataract.ml.release.manifest import encoder_hash
from cataract.ml.synthetic import render_eye

HALF, NONE, ONE = (0.5, 0.5, 0.5), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SMALL_VIT = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 16}


@pytest.fixture(scope="module")
def small_arch(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("configs") / "preprocessed-vit.json"
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": SMALL_VIT, "text_cfg": CONFIG["text_cfg"]}))
    open_clip.add_model_config(path)
    return path.stem


def weights_of(arch: str, folder: Path) -> Path:
    path = folder / "open_clip_model.safetensors"
    save_file({name: v.contiguous() for name, v in random_tower(arch).model.state_dict().items()}, path)
    return path


@pytest.mark.parametrize(
    ("arch", "tag", "mean", "std", "resize_mode", "interpolation", "quick_gelu"),
    [
        ("ViT-B-16-SigLIP2", "webli", HALF, HALF, "squash", "bicubic", False),
        ("PE-Core-B-16", "meta", HALF, HALF, "squash", "bilinear", False),
        ("MobileCLIP2-S0", "dfndr2b", NONE, ONE, "shortest", "bilinear", False),
        (
            "ViT-B-32",
            "openai",
            open_clip.OPENAI_DATASET_MEAN,
            open_clip.OPENAI_DATASET_STD,
            "shortest",
            "bicubic",
            True,
        ),
        ("ViT-B-32", "laion2b_s34b_b79k", None, None, "shortest", "bicubic", False),
        ("timm/vit_small_patch14_dinov2", "lvd142m", (0.485, 0.456, 0.406), None, "shortest", "bicubic", False),
    ],
)
def test_a_published_tag_says_how(
    arch: str, tag: str, mean: Any, std: Any, resize_mode: str, interpolation: str, quick_gelu: bool
) -> None:
    found = of_tag(arch, tag)
    assert (found.resize_mode, found.interpolation, found.quick_gelu) == (resize_mode, interpolation, quick_gelu)
    assert mean is None or found.mean == mean
    assert std is None or found.std == std


@pytest.mark.parametrize(
    ("arch", "mean"), [("ViT-B-16-SigLIP2", HALF), ("MobileCLIP2-S0", NONE), ("PE-Core-B-16", HALF)]
)
def test_where_all_published_weights_agree_no_tag_is_needed(arch: str, mean: Any, tmp_path: Path) -> None:
    found = of_file(arch, tmp_path / "weights.safetensors")
    assert found.mean == mean and "all published weights" in found.source


@pytest.mark.parametrize("arch", ["ViT-B-32", "timm/test_vit_relpos"])
def test_where_they_differ_or_are_unknown_it_is_asked_for(arch: str, tmp_path: Path) -> None:
    """OpenAI's weights of ViT-B-32 need QuickGELU and LAION's do not: nothing in the file tells them apart."""
    if arch.startswith("timm/"):
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_vit_relpos"}))  # no pretrained_cfg
    with pytest.raises(WeightsUnavailable, match=r"--pretrained-cfg TAG, one of .*openai|it lacks 'pretrained_cfg'"):
        of_file(arch, tmp_path / "weights.safetensors")
    if arch == "ViT-B-32":
        assert of_file(arch, tmp_path / "weights.safetensors", "openai").quick_gelu


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": [0.5, 0.5]}, "cannot be used"),
        ({"std": [0.5, 0.0, 0.5]}, "cannot normalise"),
        ({"mean": [float("nan"), 0, 0]}, "cannot normalise"),
        ({"interpolation": "lanczos"}, "'lanczos'; squash, shortest and longest by bicubic or bilinear"),
        ({"resize_mode": "stretch"}, "'stretch'"),
        (None, "cannot be used"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(
    small_arch: str, change: dict[str, Any] | None, said: str, tmp_path: Path
) -> None:
    content = {"model_cfg": {"vision_cfg": {}}, "preprocess_cfg": {"mean": HALF, "std": HALF, **(change or {})}}
    text = "{" if change is None else json.dumps(content)
    (tmp_path / "open_clip_config.json").write_text(text)
    with pytest.raises(WeightsUnavailable, match=said):
        of_file(small_arch, tmp_path / "weights.safetensors")


def test_the_activation_comes_with_the_weights(small_arch: str, tmp_path: Path) -> None:
    weights = weights_of(small_arch, tmp_path)
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = []
    for quick in (False, True):
        content = {
            "model_cfg": {"vision_cfg": SMALL_VIT, "quick_gelu": quick},
            "preprocess_cfg": {"mean": HALF, "std": HALF, "resize_mode": "longest"},
        }
        (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
        said: list[str] = []
        tower = local_tower(small_arch, weights, say=said.append)
        assert (tower.mean, tower.std, tower.resize_mode, tower.interpolation) == (HALF, HALF, "longest", "bicubic")
        assert ("QuickGELU" in said[0]) == quick and "open_clip_config.json beside the weights" in said[0]
        with torch.no_grad():
            answers.append(tower.model.visual(pixels))  # type: ignore[operator]
    assert (answers[0] - answers[1]).abs().max() > 1e-4


def test_a_plain_timm_file_is_read_with_its_configuration(tmp_path: Path) -> None:
    torch.manual_seed(3)
    published: Any = timm.create_model("test_vit", num_classes=10).eval()
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    stated = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "crop_mode": "squash"}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_vit", "pretrained_cfg": stated}))
    tower = local_tower("timm/test_vit", tmp_path / "model.safetensors")
    assert (tower.mean, tower.resize_mode, tower.interpolation) == ((0.1, 0.2, 0.3), "squash", "bilinear")
    pixels = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    published.reset_classifier(0)
    with torch.no_grad():
        assert (tower.model.visual(pixels) - published(pixels)).abs().max() < 1e-5  # type: ignore[operator]
    smaller = local_tower("timm/test_vit", tmp_path / "model.safetensors", image_size=64)
    assert smaller.image_size == 64
    with pytest.raises(ValueError, match="takes no photos of 65 px"):
        local_tower("timm/test_vit", tmp_path / "model.safetensors", image_size=65)


@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
def test_bilinear_parity_with_open_clip(mode: str) -> None:
    photo = render_eye(3, opacity=0.5, size=400)[:250]
    spec = EncoderSpec("x", "", 224, HALF, HALF, mode, ("full",), False, 8, 8, interpolation="bilinear")
    transform = image_transform(224, is_train=False, mean=HALF, std=HALF, resize_mode=mode, interpolation="bilinear")
    expected = transform(Image.fromarray(photo)).numpy()
    assert np.abs(prepare(photo, spec)[0] - expected).max() * 0.5 * 255 < 1e-3


def test_another_interpolation_is_another_embedding_space() -> None:
    files = {name: FileRecord(1, "0" * 64) for name in ("trunk.onnx", "embed.onnx")}
    hashes = {
        encoder_hash(files, EncoderSpec("x", "", 224, HALF, HALF, "squash", ("full",), False, 8, 8, interpolation=kind))
        for kind in ("bicubic", "bilinear")
    }
    assert len(hashes) == 2
