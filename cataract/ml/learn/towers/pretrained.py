"""Pretrained weights of an image tower: by open_clip's tag, downloaded once, or from a local file.

Only safetensors are read: loading a pickled checkpoint could run any code.
"""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
import torch
from open_clip.pretrained import download_pretrained
from safetensors.torch import load_file
from torch import Tensor

from cataract.ml.learn.towers.architecture import image_config, is_timm
from cataract.ml.learn.towers.base_release import Tower
from cataract.ml.learn.towers.preprocessing import Preprocessing, WeightsUnavailable, of_file, of_tag, timm_weights
from cataract.ml.learn.towers.towers import create_model, set_image_size

_CONNECT_SECONDS = 10.0


def _silent(line: str) -> None:
    return None


def published_tower(arch: str, tag: str, *, image_size: int = 0, say: Callable[[str], None] = _silent) -> Tower:
    """`arch` with the weights that open_clip or timm publishes under `tag`: downloaded, or from the cache.

    image_size: in place of the one that it was published for (`_resize`). Raises ValueError for an unknown
    architecture, WeightsUnavailable for an unknown tag, without a network, or when the weights are published as a
    pickle only.
    """
    config, preprocessing = image_config(arch), of_tag(arch, tag)
    return _tower(arch, tag, config, _download(arch, tag), preprocessing, image_size, say)


def local_tower(
    arch: str, checkpoint: Path, *, like: str = "", image_size: int = 0, say: Callable[[str], None] = _silent
) -> Tower:
    """`arch` with the weights in a safetensors file as open_clip or timm saves it; a text tower is left out.

    like: a published tag whose preprocessing and activation the weights need, in place of the file beside them. Raises
    ValueError for an unknown architecture, WeightsUnavailable for a file that does not fit or is of unknown
    preprocessing.
    """
    if not checkpoint.is_file():
        raise WeightsUnavailable(f"There is no file {checkpoint}.")
    config = image_config(arch)
    _check_safe(checkpoint)
    preprocessing = of_file(arch, checkpoint, like)
    return _tower(arch, checkpoint.name, config, checkpoint, preprocessing, image_size, say)


def _tower(
    arch: str,
    weights: str,
    config: dict[str, Any],
    file: Path,
    preprocessing: Preprocessing,
    image_size: int,
    say: Callable[[str], None],
) -> Tower:
    say(f"photos are resized and normalised as the weights ask: {preprocessing}")
    if preprocessing.quick_gelu:
        config["quick_gelu"] = True
    torch.manual_seed(0)  # also the unused text tower: the same weights make the same release
    model: Any = create_model(config)
    model.visual.load_state_dict(_image_weights(file, model.visual.state_dict(), arch))
    if image_size and image_size != config["vision_cfg"].get("image_size", 224):
        _resize(model, config, image_size, arch)
    return Tower(
        arch,
        weights,
        model.eval(),
        config,
        mean=preprocessing.mean,
        std=preprocessing.std,
        resize_mode=preprocessing.resize_mode,
        interpolation=preprocessing.interpolation,
    )


def _resize(model: Any, config: dict[str, Any], size: int, arch: str) -> None:
    """Let a timm transformer take photos of another size: its positions are interpolated. Raises ValueError."""
    if not hasattr(getattr(model.visual, "trunk", None), "set_input_size"):
        raise ValueError(f"{arch} takes photos of {config['vision_cfg'].get('image_size', 224)} px and no other size.")
    patch = int(getattr(model.visual.trunk.patch_embed, "patch_size", (1, 1))[0])
    if size < patch or size % patch:
        raise ValueError(f"{arch} takes no photos of {size} px; take a multiple of its patches, {patch} px.")
    set_image_size(model, size)
    config["vision_cfg"]["image_size"] = size


def _check_safe(file: Path) -> None:
    if file.suffix != ".safetensors":
        raise WeightsUnavailable(
            f"{file.name} is not a safetensors file. A pickled checkpoint is not read, because it could run any code; "
            "write its state_dict with safetensors.torch.save_file on a machine that trusts it."
        )


def _image_weights(file: Path, expected: Mapping[str, Tensor], arch: str) -> dict[str, Tensor]:
    """The weights of the image tower in `file`, in 32-bit floats, checked against what the architecture needs."""
    _check_safe(file)
    try:
        stored = load_file(file)
    except Exception as error:  # safetensors raises its own kind, and OSError
        raise WeightsUnavailable(f"{file.name} cannot be read as safetensors ({error}).") from error
    if is_timm(arch) and not any(name.startswith("visual.") for name in stored):
        image = {f"trunk.{name}": value for name, value in stored.items()}
    else:
        image = {name.removeprefix("visual."): value for name, value in stored.items() if name.startswith("visual.")}
    wrong = [name for name, value in expected.items() if name not in image or image[name].shape != value.shape]
    if wrong:
        raise WeightsUnavailable(
            f"{file.name} does not fit {arch}: {len(wrong)} of {len(expected)} weights of the image tower are missing "
            f"or of another shape, such as {wrong[0]}. Name the architecture that it was saved from."
        )
    return {name: image[name].float() if value.is_floating_point() else image[name] for name, value in expected.items()}


def _download(arch: str, tag: str) -> Path:
    """The local file of the weights. Tries to connect first: the hub itself would retry for two minutes."""
    from huggingface_hub import constants, try_to_load_from_cache

    published = _timm_source(arch, tag) if is_timm(arch) else open_clip.get_pretrained_cfg(arch, tag)
    repository, name = _hub_file(str(published.get("hf_hub", "")))
    cached = repository and try_to_load_from_cache(repository, name)
    try:
        if not isinstance(cached, str):
            host = urlsplit(constants.ENDPOINT if repository else str(published["url"]))
            with socket.create_connection((host.hostname or "", host.port or 443), _CONNECT_SECONDS):
                pass
        return Path(download_pretrained(dict(published)))
    except OSError as error:  # both of sockets and of the hub
        raise WeightsUnavailable(
            f"The weights {tag} of {arch} could not be downloaded ({error}). Is there a network? On a machine that has "
            f"one, download {name} and its configuration of {repository or 'the model'}, bring both here, and name the "
            "weights with --checkpoint FILE instead of --pretrained."
        ) from error


def _timm_source(arch: str, tag: str) -> dict[str, str]:
    """Where timm publishes weights, as open_clip states it."""
    return {"url": "", "hf_hub": f"{timm_weights(arch, tag)['hf_hub_id']}/model.safetensors"}


def _hub_file(stated: str) -> tuple[str, str]:
    """(repository, file) of open_clip's "owner/name/" or "owner/name/file"."""
    repository, _, name = stated.rpartition("/")
    return repository, name or "open_clip_model.safetensors"
