"""Photo quality: brightness, contrast, sharpness and the like, measured on a small copy."""

from dataclasses import dataclass

import cv2
import numpy as np

from cataract.ml.arrays import Pixels, at_most, convert

_SIDE = 160


@dataclass(frozen=True)
class Quality:
    """brightness, contrast (deviation of grey), saturated (share of burnt-out pixels) and colour (mean saturation) are
    0..1; sharpness is the share of fine detail in the contrast, about 0.02 (blurred) to 0.3; short_side in pixels."""

    brightness: float
    contrast: float
    sharpness: float
    short_side: int
    saturated: float
    colour: float


def measure_quality(pixels: Pixels) -> Quality:
    """The measures of an (H, W, 3) RGB photo."""
    small = at_most(pixels, _SIDE)
    grey = convert(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    contrast = float(grey.std())
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8)  # otherwise sensor noise in a blurred photo counts as detail
    detail = float(cv2.Laplacian(smooth, cv2.CV_32F).std())
    red, green, blue = cv2.split(small)
    darkest = np.minimum(np.minimum(red, green), blue)  # numpy takes ten times as long over an axis of three
    return Quality(
        brightness=float(grey.mean()),
        contrast=contrast,
        sharpness=detail / max(contrast, 1e-3),
        short_side=min(pixels.shape[:2]),
        saturated=float((darkest >= 250).mean()),
        colour=float(convert(small, cv2.COLOR_RGB2HSV)[:, :, 1].mean()) / 255,
    )
