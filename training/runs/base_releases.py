"""Base releases: another encoder for this installation, from published or local weights."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings

from cataract.core.errors import ADD_TRAINING_SET, DomainError
from cataract.ml.encoding.framing import Framing
from cataract.ml.learn.packages import has_torch
from predictions.releases import store
from predictions.releases.models import Release


class NoEncoder(DomainError):
    """The base release cannot be made. The message says why and what to do."""

    code, status = "no_encoder", 422


def make_base(
    *,
    arch: str,
    tag: str = "",
    checkpoint: Path | None = None,
    like: str = "",
    image_size: int = 0,
    views: Sequence[str] = ("full",),
    say: Callable[[str], None] = lambda line: None,
) -> Release:
    """Register a base release with the image tower `arch` of open_clip or timm, and the weights of `tag` or of a file.

    like: the published tag whose preprocessing and activation the weights of a file need, where no configuration lies
    beside it. image_size: in pixels, in place of the published one.
    It cannot serve: its models are untrained. A training run of both models that starts from it makes a challenger.
    The same weights return the same release. Raises NoEncoder, and leaves nothing behind.
    """
    if not has_torch():
        raise NoEncoder(f"This is a light installation. {ADD_TRAINING_SET}.")
    if bool(tag) == bool(checkpoint):
        raise NoEncoder("Name the weights: either a tag that open_clip or timm publishes, or a checkpoint file.")
    if tag and like:
        raise NoEncoder("A published tag brings its own preprocessing; --pretrained-cfg is for a checkpoint file.")
    from cataract.ml.learn.towers import base_release, preprocessing, pretrained

    try:
        say(f"reading the weights of {arch}" + (f", {tag} (downloaded once)" if tag else ""))
        if checkpoint:
            tower = pretrained.local_tower(arch, checkpoint, like=like, image_size=image_size, say=say)
        else:
            tower = pretrained.published_tower(arch, tag, image_size=image_size, say=say)
        say("exporting trunk, embedding and accurate model, each checked against torch")
        graphs = base_release.export_tower(tower)
        with TemporaryDirectory(prefix=".tmp-", dir=_beside_releases()) as place:
            say("writing the release")
            gate, framing = _rules()
            folder = Path(place) / "base"
            manifest = base_release.write_base(folder, tower, graphs, gate, framing=framing, views=views)
            known = Release.objects.filter(pk=manifest.id).first()
            if known is not None:
                return known
            say("registering it: files and golden predictions are checked")
            return store.register_release(folder=folder, status=Release.Status.BASE)
    except (preprocessing.WeightsUnavailable, ValueError, RuntimeError) as error:
        raise NoEncoder(str(error)) from error


def _rules() -> tuple[dict[str, Any], Framing]:
    """The gate and the framing of the champion: they use hand-crafted features, the same for every encoder."""
    champion = Release.objects.champions().first()
    folder = store.folder_of(champion) if champion else Path(settings.STARTER_DIR)
    return dict(json.loads((folder / "gate.json").read_text(encoding="utf-8"))), Framing.of(folder)


def _beside_releases() -> Path:
    folder = Path(settings.RELEASE_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
