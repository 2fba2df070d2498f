"""Drawn eyes for practice, where no case has been chosen: each follows from its seed, and so does its answer."""

import io
from typing import Any

from PIL import Image

from cataract.ml.statistics.draws import fraction
from cataract.ml.synthetic import render_eye
from predictions.answering.answers import Answer

SIDE = 640  # px
# (answer, least opacity, greatest opacity, what else is drawn): a seed takes them in turn.
_KINDS: tuple[tuple[Answer, float, float, dict[str, float]], ...] = (
    (Answer.NORMAL, 0.0, 0.03, {}),
    (Answer.CATARACT, 0.85, 1.0, {}),
    (Answer.NORMAL, 0.0, 0.03, {}),
    (Answer.CATARACT, 0.4, 0.65, {}),
    (Answer.UNGRADABLE, 0.0, 1.0, {"defocus": 0.03}),
)


def answer_of(seed: int) -> Answer:
    """The right answer for the drawing of this seed."""
    return _KINDS[seed % len(_KINDS)][0]


def draw(seed: int) -> bytes:
    """The drawing as a JPEG, SIDE px wide."""
    _, least, greatest, look = _KINDS[seed % len(_KINDS)]
    opacity = least + (greatest - least) * fraction(f"opacity:{seed}")
    file = io.BytesIO()
    variation: dict[str, Any] = dict(look)
    Image.fromarray(render_eye(seed, opacity=opacity, size=SIDE, **variation)).save(file, "JPEG", quality=90)
    return file.getvalue()
