"""The image tower while it is trained, made by open_clip; `cut` makes the trunk and the tail of it that serving runs.

The starter's tower is a small squeeze-and-excitation ResNet (He et al. 2016, Hu et al. 2018), registered with timm
under `TOWER` and described to open_clip by `CONFIG`, so one code path serves it and every published CLIP.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import open_clip
from safetensors.torch import load_file, save_file
from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from cataract.ml.learn.quiet import without_warning

# Of open_clip: weights are loaded next, or random ones are wanted.
_NOISE = "No pretrained weights loaded"

TOWER = "cataract_seresnet"
IMAGE_SIZE = 112
MEAN = (0.48145466, 0.4578275, 0.40821073)  # open_clip's own
STD = (0.26862954, 0.26130258, 0.27577711)

# The text tower is as small as open_clip allows: nothing reads it.
CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {
        "timm_model_name": TOWER,
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "timm_proj_bias": True,
        "image_size": IMAGE_SIZE,
    },
    "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
}


@register_model
def cataract_seresnet(pretrained: bool = False, **options: Any) -> ResNet:
    """A ResNet of 1.4 M parameters for 96 to 128 pixels: one or two blocks a stage, a deep stem, SE attention."""
    options.pop("pretrained_cfg", None), options.pop("pretrained_cfg_overlay", None), options.pop("cache_dir", None)
    tower: Any = ResNet(
        BasicBlock,  # type: ignore[arg-type]
        (1, 1, 2, 1),
        channels=(32, 64, 128, 224),
        stem_width=16,
        stem_type="deep",
        avg_down=True,
        block_args={"attn_layer": "se"},
        **options,
    )
    tower.default_cfg = {"pool_size": (4, 4), "input_size": (3, IMAGE_SIZE, IMAGE_SIZE)}
    return tower  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """The frozen first part of a tower: pixels -> activations."""

    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first = first

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, ...)."""
        return self.first(pixels)  # type: ignore[no-any-return]


class Tail(nn.Module):
    """The last part of a tower: activations -> embedding, L2-normalised as `encode_image(normalize=True)` does."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.last = last

    def forward(self, activations: Tensor) -> Tensor:
        """(N, ...) -> (N, E), rows of unit length."""
        return nn.functional.normalize(self.last(activations), dim=-1)


class TailWithHead(nn.Module):
    """A tail and a linear head: activations -> the log-odds of cataract."""

    def __init__(self, tail: Tail, head: nn.Linear) -> None:
        super().__init__()
        self.tail = tail
        self.head = head

    def forward(self, activations: Tensor) -> Tensor:
        """(N, ...) -> (N,)."""
        return self.head(self.tail(activations)).squeeze(-1)  # type: ignore[no-any-return]


def create_model(config: Mapping[str, Any], name: str = "cataract") -> nn.Module:
    """An open_clip model with random weights from a model config (what open_clip keeps in `model_configs/`).

    A timm transformer takes photos of the config's image_size, also where it was published for another one.
    """
    with TemporaryDirectory() as folder, without_warning(_NOISE):
        (Path(folder) / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder)
        model: Any = open_clip.create_model(name, pretrained_image=False, pretrained_text=False)
    set_image_size(model, int(config["vision_cfg"].get("image_size", 224)))
    return model  # type: ignore[no-any-return]


def set_image_size(model: Any, size: int) -> None:
    """Let a timm transformer take photos of (size, size): its positions are interpolated. Others take any size."""
    embed = getattr(getattr(model.visual, "trunk", None), "patch_embed", None)
    if embed is not None and getattr(embed, "img_size", None) not in (None, (size, size)):
        model.visual.set_input_size(size)


def save_encoder(folder: Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Write `encoder.safetensors` (16-bit floats) and `open_clip.json`: what a later training starts from."""
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(halves, folder / "encoder.safetensors")
    (folder / "open_clip.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_encoder(folder: Path) -> nn.Module:
    """The open_clip model of a release folder, in 32-bit floats, ready to evaluate. The folder must be verified."""
    model = create_model(json.loads((folder / "open_clip.json").read_text(encoding="utf-8")))
    state = load_file(folder / "encoder.safetensors")
    model.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in state.items()})
    return model.eval()
