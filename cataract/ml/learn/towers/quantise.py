"""Graphs of a release with 8-bit weights: a third of the time on a CPU, a quarter of the size.

`quantise_if_safe` replaces the 32-bit graphs only where that changes no answer.
"""

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.labels import Mode
from cataract.ml.learn.quiet import without_warning
from cataract.ml.learn.reporter import SILENT, Reporter
from cataract.ml.release.description import Quantisation, ReleaseDescription
from cataract.ml.release.manifest import draft_manifest

GRAPHS = ("trunk.onnx", "embed.onnx", "accurate.onnx")
MOST_MOVED = 0.02  # the most that any probability may move
FEWEST_PHOTOS = 100  # without a change on so many, at most 3 % change (the rule of three, 95 % confidence)
_MOST_PHOTOS = 1000  # compared; more take longer and say little more
_WORTH = 0.9  # a graph that keeps more than this share of its size has hardly any matrix products
# ONNX Runtime's advice to simplify the graph first: with ViT-B-32 that changed neither numbers nor time.
_NOISE = "pre-processing before quantization"


@dataclass(frozen=True)
class Trial:
    """What 8-bit weights did to the answers on `photos` photos."""

    photos: int
    changed: int  # decisions, or whether a clinician must look
    most_moved: float  # any probability, fast, accurate or final; infinite where one is missing on one side

    @property
    def is_safe(self) -> bool:
        return self.photos >= FEWEST_PHOTOS and self.changed == 0 and self.most_moved < MOST_MOVED

    def __str__(self) -> str:
        if self.photos < FEWEST_PHOTOS:
            return f"int8 refused: {self.photos} photos are too few to compare answers on (at least {FEWEST_PHOTOS})"
        took = "int8 taken" if self.is_safe else "int8 refused"
        return (
            f"{took}: on {self.photos} photos {self.changed} decisions changed, probabilities moved by at most "
            f"{self.most_moved:.4f} (limit {MOST_MOVED})"
        )


def quantise_if_safe(
    folder: Path, description: ReleaseDescription, photos: Iterable[Pixels], reporter: Reporter = SILENT
) -> Quantisation:
    """Replace the graphs in `folder` by 8-bit ones if that changes no answer on the calibration photos.

    folder: a release that lacks only its golden.json and manifest. With all models asked, on at least `FEWEST_PHOTOS`
    photos no decision and no need for a clinician may change, and no probability may move by `MOST_MOVED`. All graphs
    are replaced, or none. Returns what the manifest says of it. Raises Cancelled.
    """
    before = description.quantisation
    kinds = {name: before.precision.get(name, "fp32") for name in GRAPHS}
    small: dict[str, bytes] = {}
    for name in [name for name in GRAPHS if kinds[name] == "fp32"]:
        reporter.check_stop()
        if data := _worth_it(folder / name):
            small[name] = data
    if not small:
        decision = before.decision or "int8 not tried: the graphs have hardly any matrix products"
        return Quantisation(kinds, decision)
    with TemporaryDirectory(dir=folder.parent) as place:
        other = Path(shutil.copytree(folder, Path(place) / "int8"))
        for name, data in small.items():
            (other / name).write_bytes(data)
        exact, eight = (Cascade.assemble(one, draft_manifest(one, description)) for one in (folder, other))
        trial = _compare(exact, eight, islice(photos, _MOST_PHOTOS))
    if trial.is_safe:
        for name, data in small.items():
            (folder / name).write_bytes(data)
        kinds |= dict.fromkeys(small, "int8")
    return Quantisation(kinds, str(trial))


def _worth_it(path: Path) -> bytes:
    """The graph in 8 bits; empty when that is hardly smaller."""
    graph = path.read_bytes()
    small = to_int8(graph)
    return small if len(small) < _WORTH * len(graph) else b""


def _compare(exact: Cascade, small: Cascade, photos: Iterable[Pixels]) -> Trial:
    count, changed, moved = 0, 0, 0.0
    for photo in photos:
        one, other = (cascade.predict([photo], mode=Mode.ALWAYS)[0] for cascade in (exact, small))
        count += 1
        changed += (one.decision, one.needs_review) != (other.decision, other.needs_review)
        moved = max(moved, _moved(one, other))
    return Trial(count, changed, moved)


def _moved(one: Outcome, other: Outcome) -> float:
    """The largest difference of any probability; infinite where only one of the two has it."""
    moved = 0.0
    for name in ("probability", "fast_probability", "accurate_probability"):
        p, q = getattr(one, name), getattr(other, name)
        if p is not None and q is not None:
            moved = max(moved, abs(p - q))
        elif p is not q:
            return math.inf
    return moved


def to_int8(graph: bytes) -> bytes:
    """The ONNX graph with its matrix products quantised dynamically: int8 weights, activations scaled for each
    input. Convolutions stay as they are: ONNX Runtime has no fast dynamic kernel for them.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder, without_warning(_NOISE):
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
        return target.read_bytes()
