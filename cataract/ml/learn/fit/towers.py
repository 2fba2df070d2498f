"""The image tower while it is trained: made by open_clip, cut into the trunk and the tail that serving runs.

The starter's tower is a small squeeze-and-excitation ResNet (He et al. 2016, Hu et al. 2018), registered with timm
under `TOWER` and described to open_clip by `CONFIG`, so one code path serves it and every published CLIP.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import open_clip
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from safetensors.torch import load_file, save_file
from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

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
    """An open_clip model with random weights from a model config (what open_clip keeps in `model_configs/`)."""
    with TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder)
        return open_clip.create_model(name, pretrained_image=False, pretrained_text=False)  # type: ignore[no-any-return]


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


def split(visual: nn.Module, *, tail_blocks: int = 2) -> tuple[Trunk, Tail]:
    """Cut an image tower: convolutional towers before their last stage, transformers `tail_blocks` before their end.

    The parts share the tower's weights. Together they compute what `encode_image(normalize=True)` does.
    Raises ValueError for a tower that it cannot cut.
    """
    if isinstance(visual, VisionTransformer) and visual.transformer.batch_first:
        return Trunk(_VitFirst(visual, tail_blocks)), Tail(_VitLast(visual, tail_blocks))
    if isinstance(visual, TimmModel):
        first, last = _split_timm(visual.trunk, tail_blocks)
        return Trunk(first), Tail(nn.Sequential(last, visual.head))
    raise ValueError(f"A tower of type {type(visual).__name__} cannot be cut; use a ViT or a timm tower.")


def _split_timm(tower: Any, tail_blocks: int) -> tuple[nn.Module, nn.Module]:
    """(first, last) of a timm model: ResNet-, ConvNeXt-, RegNet- or ViT-like."""
    if hasattr(tower, "layer4"):
        first = nn.Sequential(
            tower.conv1, tower.bn1, tower.act1, tower.maxpool, tower.layer1, tower.layer2, tower.layer3
        )
        return first, nn.Sequential(tower.layer4, tower.global_pool, tower.fc)
    if hasattr(tower, "stages") and hasattr(tower, "norm_pre"):
        first = nn.Sequential(tower.stem, *list(tower.stages)[:-1])
        return first, nn.Sequential(tower.stages[-1], tower.norm_pre, tower.head)
    if hasattr(tower, "s4") and hasattr(tower, "final_conv"):
        first = nn.Sequential(tower.stem, tower.s1, tower.s2, tower.s3)
        return first, nn.Sequential(tower.s4, tower.final_conv, tower.head)
    if hasattr(tower, "patch_embed") and hasattr(tower, "blocks"):
        return _TimmVitFirst(tower, tail_blocks), _TimmVitLast(tower, tail_blocks)
    raise ValueError(f"A timm tower of type {type(tower).__name__} cannot be cut into trunk and tail.")


class _VitFirst(nn.Module):
    def __init__(self, visual: VisionTransformer, tail_blocks: int) -> None:
        super().__init__()
        self.visual = visual
        self.blocks = nn.ModuleList(list(visual.transformer.resblocks)[:-tail_blocks])

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.visual._embeds(pixels)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class _VitLast(nn.Module):
    def __init__(self, visual: VisionTransformer, tail_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(list(visual.transformer.resblocks)[-tail_blocks:])
        # The tower without the trunk's modules: copying or saving a tail must not include the trunk.
        self.end: Any = copy.copy(visual)
        kept = ("ln_post", "attn_pool", "attn_pool_contrastive")
        self.end._modules = {name: module for name, module in visual._modules.items() if name in kept}
        self.end._parameters = {"proj": visual.proj}

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        pooled = self.end._pool(tokens)[0]
        return pooled if self.end.proj is None else pooled @ self.end.proj  # type: ignore[no-any-return]


class _TimmVitFirst(nn.Module):
    def __init__(self, tower: nn.Module, tail_blocks: int) -> None:
        super().__init__()
        self.tower = tower
        self.blocks = nn.ModuleList(list(tower.blocks)[:-tail_blocks])  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> Tensor:
        tower: Any = self.tower
        tokens = tower.norm_pre(tower.patch_drop(tower._pos_embed(tower.patch_embed(pixels))))
        for block in self.blocks:
            tokens = block(tokens)
        return tokens  # type: ignore[no-any-return]


class _TimmVitLast(nn.Module):
    def __init__(self, tower: nn.Module, tail_blocks: int) -> None:
        super().__init__()
        self.tower = tower
        self.blocks = nn.ModuleList(list(tower.blocks)[-tail_blocks:])  # type: ignore[arg-type]

    def forward(self, tokens: Tensor) -> Tensor:
        tower: Any = self.tower
        for block in self.blocks:
            tokens = block(tokens)
        return tower.forward_head(tower.norm(tokens))  # type: ignore[no-any-return]
