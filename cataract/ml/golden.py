"""Golden predictions: what a release said of drawn eyes when it was built, to be said again wherever it serves."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from cataract.ml.arrays import Pixels

_NUMBERS = ("fast_score", "accurate_score", "probability")

Ask = Callable[[Pixels], Any]  # (H, W, 3) -> cascade.Outcome, all models asked


def make_golden(ask: Ask, photos: Mapping[str, Pixels], *, tolerance: float = 1e-3) -> dict[str, Any]:
    """The content of golden.json: the photos as PNG and what the release says of them now.

    tolerance: how far scores and probabilities may move on another machine; 1e-3 for fp32, 0.05 for int8, whose kernels
    differ between processors.
    """
    cases = [
        {"name": name, "png": _write_png(photo), "expect": _expectation(ask(photo))} for name, photo in photos.items()
    ]
    return {"tolerance": tolerance, "cases": cases}


def first_difference(golden: Mapping[str, Any], ask: Ask) -> str:
    """The first photo that gets another answer now, in words; "" when all get theirs."""
    for case in golden["cases"]:
        found = _expectation(ask(_read_png(case["png"])))
        if not _agree(found, case["expect"], float(golden["tolerance"])):
            return f"for its golden photo {case['name']}: {found} instead of {case['expect']}"
    return ""


def _expectation(outcome: Any) -> dict[str, Any]:
    return {"decision": outcome.decision} | {name: getattr(outcome, name) for name in _NUMBERS}


def _agree(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> bool:
    for name in _NUMBERS:
        one, other = found[name], expected[name]
        if (one is None) != (other is None) or (one is not None and abs(one - other) > tolerance):
            return False
    # A decision on the edge may tip within the tolerance; anything else is another answer.
    on_edge = found["probability"] is not None and abs(found["probability"] - 0.5) <= tolerance
    return found["decision"] == expected["decision"] or on_edge


def _write_png(photo: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _read_png(text: str) -> Pixels:
    with Image.open(io.BytesIO(base64.b64decode(text)), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
