"""Cut an image tower into the trunk and the tail that serving runs.

The tail holds none of the trunk's modules: copying, saving or fine-tuning it never touches the trunk.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from cataract.ml.learn.towers.towers import Tail, Trunk

_PARITY = 1e-4  # the most that an embedding's number may differ from the whole tower's


class CannotBeCut(ValueError):
    """This tower is not supported. The message says which ones are."""


def split(visual: nn.Module, *, tail_blocks: int = 2) -> tuple[Trunk, Tail]:
    """Cut an image tower: convolutional towers before their last stage, transformers `tail_blocks` before their end.

    The parts share the tower's weights. Together they compute what `encode_image(normalize=True)` does.
    Raises CannotBeCut.
    """
    if isinstance(visual, VisionTransformer) and visual.transformer.batch_first:
        return Trunk(_VitFirst(visual, tail_blocks)), Tail(_VitLast(visual, tail_blocks))
    if isinstance(visual, ModifiedResNet):
        stem = (getattr(visual, name + number) for number in "123" for name in ("conv", "bn", "act"))
        first = nn.Sequential(*stem, visual.avgpool, visual.layer1, visual.layer2, visual.layer3)
        return Trunk(first), Tail(nn.Sequential(visual.layer4, visual.attnpool))
    if isinstance(visual, TimmModel):
        begin, last = _split_timm(visual.trunk, tail_blocks)
        return Trunk(begin), Tail(nn.Sequential(last, visual.head))
    raise _cannot(visual)


def check_cut(visual: nn.Module, trunk: Trunk, tail: Tail, pixels: Tensor) -> Tensor:
    """The activations of (N, 3, S, S) pixels, if trunk and tail give them the embeddings of the whole tower.

    Raises CannotBeCut: towers of other libraries may keep parts where `split` does not look for them.
    """
    try:
        with torch.no_grad():
            activations: Tensor = trunk(pixels)
            difference = (tail(activations) - nn.functional.normalize(visual(pixels), dim=-1)).abs().max()
    except (AttributeError, IndexError, RuntimeError, TypeError) as error:
        raise _cannot(visual) from error
    if not difference <= _PARITY:
        raise _cannot(visual)
    return activations


def _cannot(visual: nn.Module) -> CannotBeCut:
    tower = visual.trunk if isinstance(visual, TimmModel) else visual
    return CannotBeCut(
        f"A tower of type {type(tower).__name__} cannot be cut into trunk and tail. Take a ViT, SigLIP, EVA, PE-Core, "
        "DINO, ConvNeXt, FastViT (MobileCLIP), Swin or ResNet tower: docs/encoders.md lists them."
    )


def _split_timm(tower: Any, tail_blocks: int) -> tuple[nn.Module, nn.Module]:
    """(first, last) of a timm model, told by the names of its parts."""

    def has(*names: str) -> bool:
        return all(hasattr(tower, name) for name in names)

    if has("layer4", "maxpool"):  # ResNet
        first = nn.Sequential(
            tower.conv1, tower.bn1, tower.act1, tower.maxpool, tower.layer1, tower.layer2, tower.layer3
        )
        return first, nn.Sequential(tower.layer4, tower.global_pool, tower.fc)
    if has("stem", "stages", "norm_pre"):  # ConvNeXt
        first = nn.Sequential(tower.stem, *list(tower.stages)[:-1])
        return first, nn.Sequential(tower.stages[-1], tower.norm_pre, tower.head)
    if has("stem", "stages", "final_conv"):  # FastViT
        first = nn.Sequential(tower.stem, *list(tower.stages)[:-1])
        return first, nn.Sequential(tower.stages[-1], tower.final_conv, tower.head)
    if has("s4", "final_conv"):  # RegNet
        first = nn.Sequential(tower.stem, tower.s1, tower.s2, tower.s3)
        return first, nn.Sequential(tower.s4, tower.final_conv, tower.head)
    if has("patch_embed", "layers", "norm", "head"):  # Swin
        first = nn.Sequential(tower.patch_embed, *list(tower.layers)[:-1])
        return first, nn.Sequential(tower.layers[-1], tower.norm, tower.head)
    if has("patch_embed", "blocks", "norm", "forward_head"):  # ViT and its relatives
        return _TimmVitFirst(tower, tail_blocks), _TimmVitLast(tower, tail_blocks)
    raise _cannot(tower)


def _only(module: Any, names: Iterable[str], parameters: Iterable[str] = ()) -> Any:
    """A shallow copy of a module with some of its parts: its methods work on them, and it holds no others."""
    part = copy.copy(module)
    part._modules = {name: child for name, child in module._modules.items() if name in set(names)}
    part._parameters = {name: value for name, value in module._parameters.items() if name in set(parameters)}
    part._buffers = {}
    return part


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
        self.end: Any = _only(visual, ("ln_post", "attn_pool", "attn_pool_contrastive"))
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
        self.positions = _positions(tower, 0)

    def forward(self, pixels: Tensor) -> Tensor:
        tower: Any = self.tower
        tokens = tower.patch_embed(pixels)
        if hasattr(tower, "_pos_embed"):
            embedded = tower._pos_embed(tokens)
            tokens = embedded[0] if isinstance(embedded, tuple) else embedded  # Eva gives its rotations too
            tokens = tower.norm_pre(tokens)
        elif tower.cls_token is not None:  # with relative positions only
            tokens = torch.cat([tower.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return self.positions(tokens, self.blocks)  # type: ignore[no-any-return]


class _TimmVitLast(nn.Module):
    def __init__(self, tower: Any, tail_blocks: int) -> None:
        super().__init__()
        blocks = list(tower.blocks)
        self.blocks = nn.ModuleList(blocks[-tail_blocks:])
        self.end: Any = _only(tower, ("norm", "attn_pool", "fc_norm", "head_drop", "head"))
        self.positions = _positions(tower, len(blocks) - tail_blocks)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.positions(tokens, self.blocks)
        return self.end.forward_head(self.end.norm(tokens))  # type: ignore[no-any-return]


class _Positions(nn.Module):
    """Run blocks that need nothing but tokens."""

    def forward(self, tokens: Tensor, blocks: nn.ModuleList) -> Tensor:
        for block in blocks:
            tokens = block(tokens)
        return tokens


class _Rotary(_Positions):
    """Run Eva's blocks: each needs the rotations of its depth, or all the same ones."""

    def __init__(self, tower: Any, first: int) -> None:
        super().__init__()
        self.rope = tower.rope
        self.first, self.is_mixed = first, bool(getattr(tower, "rope_mixed", False))
        is_fixed = not tower.dynamic_img_size and hasattr(tower.rope, "feat_shape")
        self.shape = None if is_fixed else tuple(tower.patch_embed.grid_size)

    def forward(self, tokens: Tensor, blocks: nn.ModuleList) -> Tensor:
        rotations = self.rope.get_embed() if self.shape is None else self.rope.get_embed(shape=self.shape)
        for depth, block in enumerate(blocks, self.first):
            tokens = block(tokens, rope=rotations[depth] if self.is_mixed else rotations)
        return tokens


class _SharedBias(_Positions):
    """Run blocks that share one bias of relative positions."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.shared = shared

    def forward(self, tokens: Tensor, blocks: nn.ModuleList) -> Tensor:
        bias = self.shared.get_bias()  # type: ignore[operator]
        for block in blocks:
            tokens = block(tokens, shared_rel_pos=bias)
        return tokens


def _positions(tower: Any, first: int) -> _Positions:
    """How the blocks of a tower, from the one of number `first` on, are run."""
    if getattr(tower, "rope", None) is not None:
        return _Rotary(tower, first)
    shared = getattr(tower, "shared_rel_pos", None)
    return _Positions() if shared is None else _SharedBias(shared)
