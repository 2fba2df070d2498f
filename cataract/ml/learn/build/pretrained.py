"""Pretrained weights of an image tower: by open_clip's tag, downloaded once, or from a local file.

Only safetensors are read: loading a pickled checkpoint could run any code.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
import torch
from open_clip.pretrained import download_pretrained
from safetensors.torch import load_file
from torch import Tensor

from cataract.ml.encoding.encoder import triple
from cataract.ml.learn.build.base_release import Tower, image_config
from cataract.ml.learn.fit.towers import MEAN, STD, create_model

_CONNECT_SECONDS = 10.0


class WeightsUnavailable(Exception):
    """There are no usable weights. The message says why, and what to do instead."""


def published_tower(arch: str, tag: str) -> Tower:
    """`arch` with the weights that open_clip publishes under `tag`: downloaded with a progress bar, or from its cache.

    Raises ValueError for an unknown architecture, WeightsUnavailable for an unknown tag, without a network, or when the
    weights are published as a pickle only.
    """
    config = image_config(arch)
    published = open_clip.get_pretrained_cfg(arch, tag)
    if not published:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)) or "none"
        raise WeightsUnavailable(f"open_clip knows no weights {tag!r} of {arch}; its tags are: {tags}.")
    if published.get("quick_gelu"):
        config["quick_gelu"] = True
    return _tower(arch, tag, config, _download(arch, tag, published), published)


def local_tower(arch: str, checkpoint: Path) -> Tower:
    """`arch` with the weights in a safetensors file as open_clip saves them; its text tower, if any, is left out.

    Raises ValueError for an unknown architecture, WeightsUnavailable for a file that does not fit.
    """
    if not checkpoint.is_file():
        raise WeightsUnavailable(f"There is no file {checkpoint}.")
    return _tower(arch, checkpoint.name, image_config(arch), checkpoint, {})


def _tower(arch: str, weights: str, config: dict[str, Any], file: Path, published: Mapping[str, Any]) -> Tower:
    torch.manual_seed(0)  # also the unused text tower: the same weights make the same release
    model: Any = create_model(config)
    model.visual.load_state_dict(_image_weights(file, model.visual.state_dict(), arch))
    return Tower(
        arch,
        weights,
        model.eval(),
        config,
        mean=triple(published.get("mean", MEAN)),
        std=triple(published.get("std", STD)),
        resize_mode=str(published.get("resize_mode", "shortest")),
    )


def _image_weights(file: Path, expected: Mapping[str, Tensor], arch: str) -> dict[str, Tensor]:
    """The weights of the image tower in `file`, in 32-bit floats, checked against what the architecture needs."""
    if file.suffix != ".safetensors":
        raise WeightsUnavailable(
            f"{file.name} is not a safetensors file. A pickled checkpoint is not read, because it could run any code; "
            "write its state_dict with safetensors.torch.save_file on a machine that trusts it."
        )
    try:
        stored = load_file(file)
    except Exception as error:  # safetensors raises its own kind, and OSError
        raise WeightsUnavailable(f"{file.name} cannot be read as safetensors ({error}).") from error
    image = {name.removeprefix("visual."): value for name, value in stored.items() if name.startswith("visual.")}
    wrong = [name for name, value in expected.items() if name not in image or image[name].shape != value.shape]
    if wrong:
        raise WeightsUnavailable(
            f"{file.name} does not fit {arch}: {len(wrong)} of {len(expected)} weights of the image tower are missing "
            f"or of another shape, such as visual.{wrong[0]}. Name the architecture that it was saved from."
        )
    return {name: image[name].float() if value.is_floating_point() else image[name] for name, value in expected.items()}


def _download(arch: str, tag: str, published: Mapping[str, Any]) -> Path:
    """The local file of the weights. Tries to connect first: the hub itself would retry for two minutes."""
    from huggingface_hub import constants, try_to_load_from_cache

    repository = str(published.get("hf_hub", "")).rstrip("/")
    cached = repository and try_to_load_from_cache(repository, "open_clip_model.safetensors")
    try:
        if not isinstance(cached, str):
            host = urlsplit(constants.ENDPOINT if repository else str(published["url"]))
            with socket.create_connection((host.hostname or "", host.port or 443), _CONNECT_SECONDS):
                pass
        return Path(download_pretrained(dict(published)))
    except OSError as error:  # both of sockets and of the hub
        raise WeightsUnavailable(
            f"The weights {tag} of {arch} could not be downloaded ({error}). Is there a network? On a machine that has "
            "one, download open_clip_model.safetensors of "
            f"{repository or 'the model'}, bring it here, and name it with --checkpoint FILE instead of --pretrained."
        ) from error
