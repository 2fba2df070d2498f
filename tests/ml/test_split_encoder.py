"""A release made of an open_clip tower computes, from the photo on, what open_clip computes with its own transform."""

import json
from pathlib import Path

import numpy as np
import onnx
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.encoder import Graph
from cataract.ml.learn.towers import base_release
from cataract.ml.learn.towers.quantise import to_int8
from cataract.ml.learn.towers.towers import CONFIG
from cataract.ml.synthetic import render_eye

STARTER = Path(__file__).resolve().parent.parent.parent / "cataract" / "starter"
SMALL_VIT = {"image_size": 64, "layers": 4, "width": 64, "head_width": 32, "patch_size": 16}


@pytest.fixture(scope="module")
def arch(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("configs") / "split-vit.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": SMALL_VIT, "text_cfg": CONFIG["text_cfg"]}))
    open_clip.add_model_config(path)
    return path.stem


def test_a_release_embeds_a_photo_as_open_clip_does(arch: str, tmp_path: Path) -> None:
    """The whole way: our resizing, ONNX trunk and tail, against open_clip's transform and encode_image.

    So does ViT-B-32, in tests/training/test_encoder_change.py.
    """
    tower = base_release.random_tower(arch)
    gate = json.loads((STARTER / "gate.json").read_text())
    base_release.write_base(tmp_path / "base", tower, base_release.export_tower(tower), gate, trainable=False)
    cascade = Cascade.load(tmp_path / "base")
    transform = image_transform_v2(PreprocessCfg(**open_clip.get_model_preprocess_cfg(tower.model)), is_train=False)
    for size in (100, 250):
        photo = render_eye(size, size=size)
        with torch.no_grad():
            theirs = tower.model.encode_image(transform(Image.fromarray(photo))[None], normalize=True)  # type: ignore
        ours = cascade.embed([photo])[0][: cascade.spec.embedding_dim]
        assert np.abs(ours - theirs.numpy()[0]).max() < 1e-4


def test_int8_keeps_the_direction_and_shrinks_the_weights(arch: str) -> None:
    tower = base_release.random_tower(arch)
    graph = base_release.export_tower(tower)["trunk.onnx"]
    small = to_int8(graph)
    assert len(small) < 0.7 * len(graph)
    kinds = {node.op_type for node in onnx.load_model_from_string(small).graph.node}
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= kinds and "ConvInteger" not in kinds
    pixels = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    one, other = (
        Graph(data, providers=("CPUExecutionProvider",), threads=1).run(pixels).ravel() for data in (graph, small)
    )
    assert one @ other / (np.linalg.norm(one) * np.linalg.norm(other)) > 0.99


def test_a_gate_of_another_encoder_is_refused(arch: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hand-crafted"):
        base_release.write_base(tmp_path / "base", base_release.random_tower(arch), {}, {"ood": {"of": "embedding"}})
    assert not (tmp_path / "base").exists()
