"""Where the pupil (or the iris around it) is: a hint for the crop, with a confidence, never a hard dependency."""

from dataclasses import dataclass

import cv2
import numpy as np

from cataract.ml.arrays import Pixels

_SURE = 0.3  # least confidence to go by; below it the pupil view is the centre view
_SIDE = 128  # HoughCircles costs seconds on a full photo and some milliseconds at this size


@dataclass(frozen=True)
class Pupil:
    """A circle; x and radius are relative to the photo's width, y to its height; confidence is 0..1."""

    x: float
    y: float
    radius: float
    confidence: float

    @property
    def is_sure(self) -> bool:
        """Whether its confidence is high enough to place a view or a drawing."""
        return self.confidence >= _SURE


def find_pupil(pixels: Pixels) -> Pupil | None:
    """The most plausible pupil or iris of an (H, W, 3) RGB photo, None when there is no circle in it.

    Circles by the Hough gradient method (Yuen et al. 1990, cv2.HOUGH_GRADIENT) on a copy of at most 128 px; the one
    that is darker inside than around it and nearer to the middle wins. Confidence ranks plausibility; it is not a
    probability.
    """
    # Red: skin and sclera are bright in it, the iris dark whatever its colour.
    smooth = cv2.medianBlur(_small(np.asarray(cv2.extractChannel(pixels, 0), dtype=np.uint8)), 5)
    # Without the second blur lashes and skin give so many edges that the search takes three times as long.
    red = np.asarray(cv2.GaussianBlur(smooth, (5, 5), 0), dtype=np.uint8)
    short = min(red.shape)
    if short < 24:
        return None
    circles = cv2.HoughCircles(
        red,
        cv2.HOUGH_GRADIENT,
        dp=1.2,
        minDist=short / 8,
        param1=100,
        param2=14,
        minRadius=max(4, short // 10),
        maxRadius=int(short * 0.42),
    )
    if circles is None:
        return None
    candidates = circles.reshape(-1, circles.shape[-1])[:8, :3]
    scores = [_plausibility(red, *map(float, circle)) for circle in candidates]
    best = int(np.argmax(scores))
    x, y, radius = map(float, candidates[best])
    return Pupil(x / red.shape[1], y / red.shape[0], radius / red.shape[1], max(0.0, min(1.0, scores[best])))


def _small(grey: Pixels) -> Pixels:
    """At most `_SIDE` px, in one step of area averaging: single grey levels decide which circle wins."""
    factor = max(1.0, max(grey.shape) / _SIDE)
    size = (max(1, round(grey.shape[1] / factor)), max(1, round(grey.shape[0] / factor)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _plausibility(grey: Pixels, x: float, y: float, radius: float) -> float:
    """Contrast between the ring around the circle and its inside, less when the circle is far from the middle."""
    rows, columns = np.ogrid[: grey.shape[0], : grey.shape[1]]
    share = ((columns - x) ** 2 + (rows - y) ** 2) / radius**2  # of the radius, squared: roots take most of the time
    inside, around = grey[share < 0.95**2], grey[(share > 1.05**2) & (share < 1.45**2)]
    if not len(inside) or not len(around):
        return 0.0
    contrast = (float(around.mean()) - float(inside.mean())) / 80.0
    offset = np.hypot(x / grey.shape[1] - 0.5, y / grey.shape[0] - 0.5)
    return float(min(1.0, max(0.0, contrast)) * max(0.0, 1.2 - 1.6 * offset))
