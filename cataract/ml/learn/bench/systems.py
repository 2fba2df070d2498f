"""The systems that the benchmark measures: a release, and an architecture with random weights."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cataract.ml.arrays import Floats
from cataract.ml.cascade.gate import QUALITY_LIMITS
from cataract.ml.encoding import features
from cataract.ml.encoding.framing import Framing
from cataract.ml.learn.packages import has_open_clip, has_torch
from cataract.ml.release import manifest as release

_TREES = 200  # of the fast model of an architecture with random weights


def has_plain_pipeline() -> bool:
    """Whether the plain pipeline and towers with random weights can be made here."""
    return has_torch() and has_open_clip()


@dataclass(frozen=True)
class System:
    """A release folder, and the plain pipeline with the same weights; None without torch or weights."""

    folder: Path
    plain: Callable[[bytes], Floats] | None


def make_systems(
    folder: Path | None, arch: str, threads: int, workplace: Path, say: Callable[[str], None]
) -> Iterator[tuple[str, System]]:
    """The systems to measure, one at a time: the larger ones take hundreds of megabytes."""
    if folder is not None:
        manifest = release.verify(folder)
        yield manifest.id, System(folder, _plain_of_release(folder, manifest, threads))
    if arch and has_plain_pipeline():
        from cataract.ml.learn.bench import baseline
        from cataract.ml.learn.towers import base_release

        say(f"{arch}: making it with random weights and exporting it")
        tower = base_release.random_tower(arch)
        dim = int(tower.config["embed_dim"]) + features.LENGTH
        classifier = baseline.fit_classifier(dim, trees=_TREES, threads=threads)
        graphs = base_release.export_tower(tower)
        for precision in ("fp32", "int8"):
            place = workplace / precision
            text = classifier.booster_.model_to_string()
            manifest = base_release.write_base(
                place, tower, graphs, _open_gate(), fast=text, int8=precision == "int8", trainable=False
            )
            way = baseline.PlainWay(tower.model, manifest.encoder, classifier)
            yield f"{arch} {precision}", System(place, way)


def _plain_of_release(folder: Path, manifest: release.Manifest, threads: int) -> Callable[[bytes], Floats] | None:
    """The plain pipeline with the weights of a release; None without torch, or where the release carries no weights."""
    if not has_plain_pipeline() or "encoder.safetensors" not in manifest.files:
        return None
    from cataract.ml.learn.bench import baseline
    from cataract.ml.learn.towers import towers

    spec = manifest.encoder
    trees = release.read_file(folder, manifest, "fast.txt").count(b"\nTree=")
    classifier = baseline.fit_classifier(spec.dim, trees=max(trees, 1), threads=threads)
    return baseline.PlainWay(towers.load_encoder(folder), spec, classifier, Framing.of(folder))


def _open_gate() -> dict[str, Any]:
    """A gate that accepts every photo: only the time of an untrained tower is measured."""
    zeros, ones = [0.0] * features.LENGTH, [1.0] * features.LENGTH
    axis = [[1.0, *zeros[1:]]]
    limits = {"dark": 0.0, "bright": 1.0, "burnt": 1.0, "blank": 0.0, "blurred": 0.0}
    ood = {"of": "handmade", "mean": zeros, "spread": ones, "axes": axis, "scale": [1.0], "residual": 1.0}
    return {"quality": {**QUALITY_LIMITS, **limits}, "ood": {**ood, "soft": 1e9, "hard": 1e9}}
