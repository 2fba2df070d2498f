"""How photos become the input of published weights, and which activation they were trained with: read, never guessed.

The facts stand in a file beside the weights (open_clip's `open_clip_config.json`, timm's `config.json`), or in what
open_clip and timm know of a published tag.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import timm
from timm.models import get_pretrained_cfg

from cataract.ml.encoding.encoder import can_resize, triple
from cataract.ml.learn.towers.architecture import image_config, is_timm, timm_name

_CROP_MODES = {"center": "shortest", "squash": "squash", "border": "longest"}  # timm's words -> open_clip's


class WeightsUnavailable(Exception):
    """There are no usable weights. The message says why, and what to do instead."""


@dataclass(frozen=True)
class Preprocessing:
    """mean, std: of each colour, for values from 0 to 1. resize_mode, interpolation: see `encoder.resize`. quick_gelu:
    whether the tower's activation is QuickGELU. source: where this was read, for people."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize_mode: str
    interpolation: str
    quick_gelu: bool
    source: str

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {'/'.join(f'{v:g}' for v in getattr(self, name))}" for name in ("mean", "std"))
        activation = ", QuickGELU" if self.quick_gelu else ""
        return f"{self.resize_mode} {self.interpolation}, {numbers}{activation} (from {self.source})"


def of_tag(arch: str, tag: str) -> Preprocessing:
    """What the library knows of the published weights `tag` of `arch`. Raises WeightsUnavailable for an unknown tag."""
    if tag not in (known := tags(arch)):
        library = "timm" if is_timm(arch) else "open_clip"
        raise WeightsUnavailable(
            f"{library} knows no weights {tag!r} of {arch}; its tags are: {', '.join(known) or 'none'}."
        )
    if is_timm(arch):
        return _of_timm(timm_weights(arch, tag), f"timm's tag {tag}")
    return _of_open_clip(open_clip.get_pretrained_cfg(arch, tag), f"open_clip's tag {tag}")


def timm_weights(arch: str, tag: str) -> dict[str, Any]:
    """What timm knows of its published weights `tag` of `arch`; empty when it knows nothing."""
    known = get_pretrained_cfg(f"{timm_name(arch)}.{tag}")
    return dict(known.to_dict()) if known else {}  # type: ignore[no-untyped-call]


def tags(arch: str) -> list[str]:
    """The published weights of `arch`."""
    if is_timm(arch):
        names = timm.list_models(f"{timm_name(arch)}.*", pretrained=True)
        return [name.split(".", 1)[1] for name in names]
    return list(open_clip.list_pretrained_tags_by_model(arch))


def of_file(arch: str, weights: Path, tag: str = "") -> Preprocessing:
    """What belongs to the weights in a local file: of `tag` when it is named, else as the file beside them says, else
    what all published weights of `arch` have in common.

    Raises WeightsUnavailable when that is unknown: a wrong normalisation makes every answer worse, and no error shows.
    """
    if tag:
        return of_tag(arch, tag)
    if found := _beside(arch, weights):
        return found
    known = [of_tag(arch, one) for one in tags(arch)]
    if known and all(replace(one, source="") == replace(known[0], source="") for one in known):
        return replace(known[0], source=f"all published weights of {arch}")
    name = "config.json" if is_timm(arch) else "open_clip_config.json"
    raise WeightsUnavailable(
        f"It is unknown how photos are resized and normalised for {weights.name}"
        + (", or with which activation: the published weights of this architecture differ" if known else "")
        + f". Put the {name} that it was published with beside it, or name a published tag that it is like: "
        f"--pretrained-cfg TAG, one of {', '.join(tags(arch)) or 'none for ' + arch}."
    )


def _beside(arch: str, weights: Path) -> Preprocessing | None:
    """What the file beside the weights says; None without one. Raises WeightsUnavailable when it cannot be used."""
    path = weights.with_name("config.json" if is_timm(arch) else "open_clip_config.json")
    if not path.is_file():
        return None
    source = f"{path.name} beside the weights"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if is_timm(arch):
            _check_same(arch, {"architecture": timm_name(arch)}, content)
            return _of_timm(content["pretrained_cfg"], source)
        model = content["model_cfg"]
        _check_same(arch, image_config(arch)["vision_cfg"], model["vision_cfg"])
        gelu = bool(model.get("quick_gelu", False))
        return _of_open_clip({**content["preprocess_cfg"], "quick_gelu": gelu}, source)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsUnavailable(f"{path.name} cannot be used: {_words(error)}.") from error


def _words(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error).rstrip(".")


def _check_same(arch: str, expected: Mapping[str, Any], stated: Mapping[str, Any]) -> None:
    """Raises ValueError when a file describes another architecture than the one that was named."""
    for key in sorted(expected.keys() & stated.keys() - {"timm_model_pretrained"}):
        if expected[key] != stated[key]:
            raise ValueError(f"it describes a model with {key} {stated[key]}, and {arch} has {expected[key]}")


def _of_open_clip(stated: Mapping[str, Any], source: str) -> Preprocessing:
    return _checked(
        stated["mean"],
        stated["std"],
        str(stated.get("resize_mode", "shortest")),
        str(stated.get("interpolation", "bicubic")),
        bool(stated.get("quick_gelu", False)),
        source,
    )


def _of_timm(stated: Mapping[str, Any], source: str) -> Preprocessing:
    """timm also names a share to crop (`crop_pct`); it is not used: nothing of the short side of an eye is cut off."""
    mode = str(stated.get("crop_mode", "center"))
    return _checked(
        stated["mean"],
        stated["std"],
        _CROP_MODES.get(mode, mode),
        str(stated.get("interpolation", "bicubic")),
        False,  # a timm tower's name says its activation
        source,
    )


def _checked(mean: Any, std: Any, mode: str, interpolation: str, quick_gelu: bool, source: str) -> Preprocessing:
    found = Preprocessing(triple(mean), triple(std), mode, interpolation, quick_gelu, source)
    if not all(map(math.isfinite, (*found.mean, *found.std))) or min(found.std) <= 0:
        raise WeightsUnavailable(f"{source} states mean {mean} and std {std}, which cannot normalise a photo.")
    if not can_resize(mode, interpolation):
        raise WeightsUnavailable(
            f"{source} asks for photos resized by {mode!r} and {interpolation!r}; squash, shortest and longest by "
            "bicubic or bilinear are supported."
        )
    return found
