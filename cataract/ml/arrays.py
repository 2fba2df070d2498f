"""Array types, resizing and colour conversion used across the package."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB or (H, W) grey
Floats = NDArray[np.float32]


def halve(pixels: Pixels, width: int, height: int) -> Pixels:
    """The photo, halved while both sides stay at least twice as long as requested.

    Means of 2 x 2 pixels take OpenCV a tenth of the time of any other factor. An odd last row or column is left out.
    """
    while pixels.shape[0] >= 4 * height and pixels.shape[1] >= 4 * width:
        rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
        whole = pixels[: 2 * rows, : 2 * columns]
        pixels = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return pixels


def shrink(pixels: Pixels, width: int, height: int) -> Pixels:
    """The photo at (height, width) by area averaging, which does not alias; for making it smaller only."""
    pixels = halve(pixels, width, height)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def at_most(pixels: Pixels, side: int) -> Pixels:
    """The photo with its longer side at most `side`, never enlarged."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    return pixels if factor >= 1 else shrink(pixels, max(1, round(width * factor)), max(1, round(height * factor)))


def finite_or_none(value: float | None) -> float | None:
    """The number; None when it is NaN or infinite, which are never stored as measurements."""
    return float(value) if value is not None and math.isfinite(value) else None


def convert(pixels: Pixels, code: Any) -> Pixels:
    """cv2.cvtColor with one of cv2's COLOR_ codes."""
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)
