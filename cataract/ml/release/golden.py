"""Golden predictions: a new release's answers on synthetic eyes; every serving machine must reproduce them."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from cataract.ml.arrays import Pixels

_NUMBERS = ("fast_score", "accurate_score", "probability")

Ask = Callable[[Pixels], Any]  # (H, W, 3) -> cascade.Outcome, all models asked
ScoreRange = Callable[[Any], tuple[float, float]]  # the fast model's input (D,) -> its scores up to rounding


def make_golden(ask: Ask, photos: Mapping[str, Pixels], *, tolerance: float = 1e-3) -> dict[str, Any]:
    """The content of golden.json: the photos as PNG and the release's answers to them now.

    tolerance: how far scores and probabilities may move on another machine; 1e-3 for fp32, 0.05 for int8, whose kernels
    differ between processors.
    """
    cases = [
        {"name": name, "png": _write_png(photo), "expect": _expectation(ask(photo))} for name, photo in photos.items()
    ]
    return {"tolerance": tolerance, "cases": cases}


def first_difference(golden: Mapping[str, Any], ask: Ask, score_range: ScoreRange) -> str:
    """The first photo whose answer has changed, in words; "" when none has."""
    for case in golden["cases"]:
        outcome = ask(_read_png(case["png"]))
        found = _expectation(outcome)
        step = _step_to(case["expect"]["fast_score"], outcome, score_range)
        if not _agree(found, case["expect"], float(golden["tolerance"]), step):
            return f"for its golden photo {case['name']}: {found} instead of {case['expect']}"
    return ""


def _step_to(expected: float | None, outcome: Any, score_range: ScoreRange) -> float:
    """How far the fast score may be from the expected one because a feature lies on a split; 0 when none does."""
    if expected is None or outcome.fast_score is None or outcome.embedding is None:
        return 0.0
    low, high = score_range(outcome.embedding)
    return float(max(outcome.fast_score - low, high - outcome.fast_score, 0.0))


def _expectation(outcome: Any) -> dict[str, Any]:
    return {"decision": outcome.decision} | {name: getattr(outcome, name) for name in _NUMBERS}


def _agree(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float, step: float) -> bool:
    for name in _NUMBERS:
        one, other = found[name], expected[name]
        allowed = tolerance if name == "accurate_score" else tolerance + step
        if (one is None) != (other is None) or (one is not None and abs(one - other) > allowed):
            return False
    # A decision on a threshold may change within the tolerance; any other change is a different answer.
    on_edge = found["probability"] is not None and abs(found["probability"] - 0.5) <= tolerance + step
    return found["decision"] == expected["decision"] or on_edge


def _write_png(photo: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _read_png(text: str) -> Pixels:
    with Image.open(io.BytesIO(base64.b64decode(text)), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
