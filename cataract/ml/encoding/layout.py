"""The coarse layout of a whole photo, for the gate; the hand-crafted features look at the pupil only."""

import cv2
import numpy as np

from cataract.ml.arrays import Floats, Pixels, convert, shrink
from cataract.ml.encoding.features import hog
from cataract.ml.encoding.pupil import Pupil

_CELLS = 8
LENGTH = 4 * 4 * 8 + 3 * _CELLS * _CELLS + 4


def measure_layout(thumbnail: Pixels, pupil: Pupil | None) -> Floats:
    """(LENGTH,) float32 of a photo's thumbnail (`features.make_thumbnail`): edges in 4 x 4 cells, Lab colours in 8 x 8
    cells, where the pupil is."""
    edges = hog(convert(thumbnail, cv2.COLOR_RGB2GRAY))
    colours = shrink(convert(thumbnail, cv2.COLOR_RGB2LAB), _CELLS, _CELLS).ravel() / 255
    circle = (pupil.x, pupil.y, pupil.radius, pupil.confidence) if pupil else (0.5, 0.5, 0.0, 0.0)
    return np.concatenate([edges, colours, circle]).astype(np.float32)
