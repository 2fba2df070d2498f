"""Architectures of image towers by name: open_clip's, and with `timm/` before it one of timm's without a text tower."""

from typing import Any

import open_clip
import timm
import torch

from cataract.ml.learn.towers.towers import CONFIG

_TIMM = "timm/"


def is_timm(arch: str) -> bool:
    """Whether it is named as a plain timm tower: `timm/vit_small_patch14_dinov2`."""
    return arch.startswith(_TIMM)


def timm_name(arch: str) -> str:
    return arch.removeprefix(_TIMM)


def image_config(arch: str) -> dict[str, Any]:
    """The open_clip config of `arch` with the smallest text tower. Raises ValueError when there is no such model."""
    if is_timm(arch):
        return _timm_config(arch)
    config = open_clip.get_model_config(arch)
    if config is None:
        raise ValueError(
            f"open_clip knows no architecture {arch!r}. `python -c 'import open_clip; print(open_clip.list_models())'` "
            "lists them; ViT-B-32 is the reference. A tower of timm is named timm/NAME."
        )
    vision = {**config["vision_cfg"], "timm_model_pretrained": False}
    if "timm_model_name" not in vision:
        del vision["timm_model_pretrained"]
    if not isinstance(vision.get("image_size", 224), int):
        raise ValueError(f"{arch} takes photos of {vision['image_size']} px; only square inputs are supported.")
    shared = {key: config[key] for key in ("embed_dim", "quick_gelu") if key in config}
    return {**shared, "vision_cfg": vision, "text_cfg": CONFIG["text_cfg"]}


def _timm_config(arch: str) -> dict[str, Any]:
    """A config that makes open_clip build a plain timm tower: its own pooling, no projection."""
    name = timm_name(arch)
    if not timm.is_model(name):
        raise ValueError(
            f"timm knows no tower {name!r}. `python -c 'import timm; print(timm.list_models())'` lists them, such as "
            "timm/vit_small_patch14_dinov2."
        )
    with torch.device("meta"):
        tower: Any = timm.create_model(name, num_classes=0)
    pool = getattr(tower, "global_pool", "avg")
    vision = {
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": pool if isinstance(pool, str) else getattr(pool, "pool_type", "avg"),
        "timm_proj": "none",
        "image_size": int(tower.default_cfg["input_size"][-1]),
    }
    dim = int(getattr(tower, "head_hidden_size", tower.num_features))
    return {"embed_dim": dim, "vision_cfg": vision, "text_cfg": CONFIG["text_cfg"]}
