"""A photo with the pupil, the eye or all but it painted over: what does a model see without it?"""

import cv2
import numpy as np

from cataract.ml.arrays import Pixels
from cataract.ml.encoding.pupil import Pupil


def cover(photo: Pixels, pupil: Pupil | None, *, outside: bool, reach: float = 1.0) -> Pixels:
    """The photo with the pupil (or all but it) painted over in the mean colour around the pupil.

    reach: of the disc, in radii of the pupil; 3 covers the eye. Without a sure pupil, a disc in the middle, a fifth of
    the width wide, takes its place.
    """
    height, width = photo.shape[:2]
    x, y, radius = (pupil.x, pupil.y, pupil.radius) if pupil is not None and pupil.is_sure else (0.5, 0.5, 0.1)
    middle, radius = (round(x * width), round(y * height)), reach * radius * width
    disc = np.zeros((height, width), dtype=np.uint8)
    cv2.circle(disc, middle, max(2, round(radius)), 255, -1)
    around = cv2.circle(np.zeros_like(disc), middle, max(3, round(1.4 * radius)), 255, -1)
    hidden = disc == 0 if outside else disc > 0
    colour = photo[(around > 0) & (disc == 0)].mean(axis=0) if ((around > 0) & (disc == 0)).any() else 128
    result = photo.copy()
    result[hidden] = np.asarray(colour, dtype=np.uint8)
    return result
