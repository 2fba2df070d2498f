"""Hand-crafted features of an eye photo: colour, the light along the radius of the pupil, texture, edges.

They see what a small tower trained from scratch misses, and they are the baseline every model is reported beside. Never
the photo's size or shape: those tell the source of a photo, not the state of a lens. A change here is a change of
`encoder.VIEWS_VERSION`.
"""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Floats, Pixels, convert, shrink
from cataract.ml.encoding.encoder import cut_views
from cataract.ml.encoding.pupil import Pupil

_THUMBNAIL, _CROP = 128, 64
_RINGS = 12
_BINS = (16, 8, 8)
_LBP_BINS = 10

_RING_CHANNELS = 6
LENGTH = 2 * (sum(_BINS) + 12) + _RINGS * _RING_CHANNELS + 2 * _LBP_BINS + 4 * 4 * 8 + 6


def make_thumbnail(pixels: Pixels) -> Pixels:
    """(H, W, 3) -> (128, 128, 3): the whole photo, which these features and the gate's layout are both measured on."""
    return shrink(pixels, _THUMBNAIL, _THUMBNAIL)


def extract(pixels: Pixels, pupil: Pupil | None, thumbnail: Pixels | None = None) -> Floats:
    """(H, W, 3) RGB -> (LENGTH,) float32, finite; the same photo and pupil always give the same vector.

    thumbnail: what `make_thumbnail` gives of the photo, when the caller has it already.
    """
    full = make_thumbnail(pixels) if thumbnail is None else thumbnail
    crop = shrink(cut_views(pixels, ["pupil"], pupil)[0], _CROP, _CROP)
    grey, grey_crop = (convert(view, cv2.COLOR_RGB2GRAY) for view in (full, crop))
    parts = (
        _colour(full),
        _colour(crop),
        _rings(crop),
        _lbp(grey),
        _lbp(grey_crop),
        hog(grey_crop),
        _measures(grey, grey_crop, pupil),
    )
    return np.nan_to_num(np.concatenate(parts).astype(np.float32))


def _colour(view: Pixels) -> NDArray[np.float64]:
    """Histograms of hue, saturation and value, then mean and deviation of HSV's and Lab's channels."""
    hsv, lab = convert(view, cv2.COLOR_RGB2HSV), convert(view, cv2.COLOR_RGB2LAB)
    histograms = [
        cv2.calcHist([hsv], [channel], None, [bins], [0, 180 if channel == 0 else 256]).ravel() / hsv[:, :, 0].size
        for channel, bins in enumerate(_BINS)
    ]
    moments = [moment.ravel() / 255 for space in (hsv, lab) for moment in cv2.meanStdDev(space)]
    return np.concatenate([*histograms, *moments])


def _ring_index() -> NDArray[np.intp]:
    """Which ring around the middle of the crop a pixel is in; the corners are ring `_RINGS`, which is left out."""
    rows, columns = np.mgrid[:_CROP, :_CROP]
    distance = np.hypot(rows - (_CROP - 1) / 2, columns - (_CROP - 1) / 2) / (_CROP / 2)
    return np.asarray(np.minimum((distance * _RINGS).astype(np.intp), _RINGS).ravel())


_RING_OF = _ring_index()
_RING_SIZE = np.bincount(_RING_OF)[:_RINGS]


def _rings(crop: Pixels) -> NDArray[np.float64]:
    """Means of saturation, value, L, a and b in rings from the middle outwards, and the deviation of value."""
    hsv, lab = convert(crop, cv2.COLOR_RGB2HSV), convert(crop, cv2.COLOR_RGB2LAB)
    planes = [hsv[:, :, 1], hsv[:, :, 2], lab[:, :, 0], lab[:, :, 1], lab[:, :, 2]]
    means = [_ring_mean(plane.astype(np.float64) / 255) for plane in planes]
    squares = _ring_mean((hsv[:, :, 2].astype(np.float64) / 255) ** 2)
    return np.concatenate([*means, np.sqrt(np.maximum(0, squares - means[1] ** 2))])


def _ring_mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.bincount(_RING_OF, plane.ravel())[:_RINGS] / _RING_SIZE)


def _uniform_patterns() -> Pixels:
    """Each 8-neighbour code -> its number of ones when it is uniform, 9 when not (Ojala et al. 2002, riu2)."""
    table = np.full(256, 9, dtype=np.uint8)
    for code in range(256):
        bits = [code >> bit & 1 for bit in range(8)]
        if sum(bits[bit] != bits[bit - 1] for bit in range(8)) <= 2:
            table[code] = sum(bits)
    return table


_UNIFORM = _uniform_patterns()
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _lbp(grey: Pixels) -> NDArray[np.float64]:
    """Rotation-invariant uniform local binary patterns, as shares."""
    height, width = grey.shape
    centre = grey[1:-1, 1:-1]
    code = np.zeros(centre.shape, dtype=np.uint8)
    for bit, (row, column) in enumerate(_NEIGHBOURS):
        code |= (grey[row : row + height - 2, column : column + width - 2] >= centre).astype(np.uint8) << np.uint8(bit)
    return np.asarray(np.bincount(_UNIFORM[code].ravel(), minlength=_LBP_BINS) / centre.size)


@functools.cache
def _cells(side: int) -> NDArray[np.intp]:
    rows, columns = np.mgrid[:side, :side] // (side // 4)
    return np.asarray((rows * 4 + columns) * 8, dtype=np.intp)


def hog(grey: Pixels) -> NDArray[np.float64]:
    """Gradient directions (8, unsigned) weighted by strength in 4 x 4 cells of one norm (Dalal and Triggs 2005).

    grey: (S, S), S a multiple of 4. Returns (128,).
    """
    gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(gx, gy)
    direction = np.minimum((np.mod(np.arctan2(gy, gx), np.pi) / np.pi * 8).astype(np.intp), 7)
    cells = np.bincount((_cells(len(grey)) + direction).ravel(), strength.ravel(), minlength=4 * 4 * 8)
    return np.asarray(cells / (np.linalg.norm(cells) + 1e-6))


def _measures(grey: Pixels, crop: Pixels, pupil: Pupil | None) -> NDArray[np.float64]:
    """Light, contrast and sharpness of photo and crop, and how sure the pupil is."""
    middle = crop[_CROP // 4 : -_CROP // 4, _CROP // 4 : -_CROP // 4]
    confidence = pupil.confidence if pupil else 0.0
    sharpness = [np.log1p(cv2.Laplacian(view, cv2.CV_32F).var()) / 10 for view in (grey, crop)]
    glare = float((middle > 240).mean())
    return np.array([*sharpness, middle.mean() / 255, middle.std() / 255, glare, confidence])
