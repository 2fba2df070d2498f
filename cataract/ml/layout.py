"""The layout of a whole photo, coarsely: what the gate sees beside the hand-made features, which look at the pupil."""

import cv2
import numpy as np

from cataract.ml.arrays import Floats, Pixels, convert, shrink
from cataract.ml.eye import Pupil
from cataract.ml.features import hog

_SIDE, _CELLS = 128, 8
LENGTH = 4 * 4 * 8 + 3 * _CELLS * _CELLS + 4


def measure_layout(pixels: Pixels, pupil: Pupil | None) -> Floats:
    """(H, W, 3) RGB -> (LENGTH,) float32: edges in 4 x 4 cells, Lab colours in 8 x 8 cells, where the pupil is."""
    full = shrink(pixels, _SIDE, _SIDE)
    edges = hog(convert(full, cv2.COLOR_RGB2GRAY))
    colours = shrink(convert(full, cv2.COLOR_RGB2LAB), _CELLS, _CELLS).ravel() / 255
    circle = (pupil.x, pupil.y, pupil.radius, pupil.confidence) if pupil else (0.5, 0.5, 0.0, 0.0)
    return np.concatenate([edges, colours, circle]).astype(np.float32)
