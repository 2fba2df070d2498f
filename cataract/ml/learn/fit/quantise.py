"""Graphs of a release with 8-bit weights: a third of the time on a CPU, a quarter of the size.

They replace the 32-bit ones only where that changes no answer: `quantise_if_safe`.
"""

import logging
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cataract.ml.arrays import Pixels
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.learn.fit.fast import ask
from cataract.ml.release.manifest import draft_manifest

GRAPHS = ("trunk.onnx", "embed.onnx", "accurate.onnx")
MOST_MOVED = 0.02  # the most that any probability may move
_WORTH = 0.9  # a graph that stays larger than this share of itself has next to no matrix products


@dataclass(frozen=True)
class Trial:
    """What 8-bit weights did to the answers on `photos` photos."""

    photos: int
    changed: int  # decisions, or whether a person must look
    most_moved: float  # any probability, fast, accurate or final; infinite where one is missing on one side

    @property
    def is_safe(self) -> bool:
        return self.photos > 0 and self.changed == 0 and self.most_moved < MOST_MOVED

    def __str__(self) -> str:
        took = "int8 taken" if self.is_safe else "int8 refused"
        return (
            f"{took}: on {self.photos} photos {self.changed} decisions changed, probabilities moved by at most "
            f"{self.most_moved:.4f} (limit {MOST_MOVED})"
        )


def quantise_if_safe(
    folder: Path,
    described: Mapping[str, Any],
    photos: Iterable[Pixels],
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """Replace the graphs in `folder` by 8-bit ones if no answer on the calibration photos changes for it.

    folder: a release but for its golden.json and manifest; described: what its manifest will say (`draft_manifest`).
    No decision and no need for a person may change, and no probability may move by `MOST_MOVED`, all models asked. All
    graphs are replaced or none. Returns the manifest's `quantisation`, with the trial in words under "decision".
    Raises Cancelled.
    """
    kinds = {name: described.get("quantisation", {}).get(name, "fp32") for name in GRAPHS}
    small: dict[str, bytes] = {}
    for name in [name for name in GRAPHS if kinds[name] == "fp32"]:
        ask(should_stop)
        if data := _worth_it(folder / name):
            small[name] = data
    if not small:
        known = described.get("quantisation", {}).get("decision", "")
        return {**kinds, "decision": known or "int8 not tried: the graphs hold next to no matrix products"}
    with TemporaryDirectory(dir=folder.parent) as place:
        other = Path(shutil.copytree(folder, Path(place) / "int8"))
        for name, data in small.items():
            (other / name).write_bytes(data)
        exact, eight = (Cascade.assemble(one, draft_manifest(one, **described)) for one in (folder, other))
        trial = _compare(exact, eight, photos)
    if trial.is_safe:
        for name, data in small.items():
            (folder / name).write_bytes(data)
        kinds |= dict.fromkeys(small, "int8")
    return {**kinds, "decision": str(trial)}


def golden_tolerance(quantisation: Mapping[str, str]) -> float:
    """How far golden predictions may be off on another machine: 8-bit kernels differ between processors."""
    return 0.05 if "int8" in (quantisation.get(name) for name in GRAPHS) else 1e-3


def _worth_it(path: Path) -> bytes:
    """The graph in 8 bits, nothing when that is hardly smaller."""
    graph = path.read_bytes()
    small = to_int8(graph)
    return small if len(small) < _WORTH * len(graph) else b""


def _compare(exact: Cascade, small: Cascade, photos: Iterable[Pixels]) -> Trial:
    count, changed, moved = 0, 0, 0.0
    for photo in photos:
        one, other = (cascade.predict([photo], mode="always")[0] for cascade in (exact, small))
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
    """The ONNX graph with its matrix products quantised dynamically: int8 weights, scales of activations found anew for
    each input. Convolutions stay as they are: ONNX Runtime has no fast dynamic kernel for them.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder, _quietly():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
        return target.read_bytes()


@contextmanager
def _quietly() -> Iterator[None]:
    """ONNX Runtime advises to simplify the graph first; with ViT-B-32 that changed neither the numbers nor the time."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(is_wanted)
    try:
        yield
    finally:
        root.removeFilter(is_wanted)
