"""Occlusion heat maps of the accurate model (Zeiler and Fergus 2014)."""

import cv2
import numpy as np

from cataract.ml.arrays import Floats, Pixels, at_most, shrink
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.encoding.pupil import find_pupil

_SIDE = 320  # a heat map needs no more resolution
_GRID = 7
_PATCH = 1.5  # side of the covering square, in steps of the grid


def heatmap(cascade: Cascade, pixels: Pixels) -> Floats:
    """How far the accurate model's score moves when each place is covered, (H, W) float32, 0..1.

    pixels: (H, W, 3) uint8. The cover is the photo itself, blurred until no structure is left: it adds no edge or
    colour. Frame and pupil view stay where they were. Zero everywhere when no place matters. Costs 49 runs of the
    accurate model.
    """
    small = at_most(pixels, _SIDE)
    frame = cascade.find_frame(small)
    pupil = find_pupil(frame.cut(small))
    height, width = small.shape[:2]
    blurred = np.asarray(cv2.GaussianBlur(small, (0, 0), max(height, width) / 8), dtype=np.uint8)
    score = cascade.accurate_score(small, frame, pupil)
    moved = np.zeros((_GRID, _GRID), dtype=np.float32)
    for row in range(_GRID):
        for column in range(_GRID):
            covered = _cover(small, blurred, (row + 0.5) / _GRID, (column + 0.5) / _GRID)
            moved[row, column] = abs(score - cascade.accurate_score(covered, frame, pupil))
    peak = float(moved.max())
    if not np.isfinite(peak) or peak == 0.0:
        return np.zeros(pixels.shape[:2], dtype=np.float32)
    full = cv2.resize(moved / peak, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(full, 0, 1), dtype=np.float32)


def overlay(pixels: Pixels, heat: Floats, *, max_side: int = 640) -> Pixels:
    """The photo with the heat map over it, long side at most `max_side`: parts that did not matter are darkened.

    A brightness scale, not a rainbow: colour-blind readers see the same, and the lens keeps its colour.
    """
    photo = at_most(pixels, max_side)
    heat8 = shrink((heat * 255).astype(np.uint8), photo.shape[1], photo.shape[0])
    weight = 0.35 + 0.65 * heat8.astype(np.float32)[..., None] / 255
    return np.asarray(photo * weight, dtype=np.uint8)


def _cover(pixels: Pixels, blurred: Pixels, y: float, x: float) -> Pixels:
    height, width = pixels.shape[:2]
    half = _PATCH / _GRID / 2
    top, bottom = (min(max(round((y + sign * half) * height), 0), height) for sign in (-1, 1))
    left, right = (min(max(round((x + sign * half) * width), 0), width) for sign in (-1, 1))
    covered = pixels.copy()
    covered[top:bottom, left:right] = blurred[top:bottom, left:right]
    return covered
