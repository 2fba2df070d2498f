"""Outliers: pictures that are not external photos of an eye, which the gate learns to refuse.

This project ships no photos of other things. The gate is trained on procedural images (outlier exposure, Hendrycks et
al. 2019; `procedural_images`), and on photos of eyes that were made useless: shuffled, cut beside the pupil, with their
lids closed. Everything follows from the seed.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from cataract.ml.arrays import Pixels, at_most, convert
from cataract.ml.encoding.pupil import Pupil, find_pupil
from cataract.ml.learn.starter.gate import procedural_images
from cataract.ml.learn.starter.gate.procedural_images import Canvas
from cataract.ml.synthetic import render_eye


def draw_outliers(count: int, *, seed: int = 0, eyes: Sequence[Pixels] = ()) -> list[Pixels]:
    """`count` pictures, (H, W, 3) uint8 RGB with sides of 64 to 320 px; some are made from the photos in `eyes`."""
    pictures = []
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        turn = index % (len(_DRAWN) + (len(_OF_EYES) if len(eyes) else 0))
        drawn = _DRAWN[turn](rng) if turn < len(_DRAWN) else _OF_EYES[turn - len(_DRAWN)](rng, eyes)
        pictures.append(_photographed(drawn, rng))
    return pictures


def _photographed(picture: Canvas, rng: np.random.Generator) -> Pixels:
    """The picture, sometimes grey, turned, cropped, blurred or grainy like a photo."""
    photo: Canvas = np.asarray(picture, dtype=np.float64)
    if rng.random() < 0.5:
        photo = _crop(photo, rng, least=0.5)
    photo = np.rot90(photo, int(rng.integers(4))) if rng.random() < 0.2 else photo
    if rng.random() < 0.15:
        photo = np.repeat(photo.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.3:
        photo = np.asarray(cv2.GaussianBlur(np.ascontiguousarray(photo), (0, 0), rng.uniform(0.5, 1.8)), np.float64)
    photo = photo * rng.uniform(0.6, 1.25) + rng.normal(0, rng.uniform(0, 6), size=photo.shape)
    return np.ascontiguousarray(np.clip(photo, 0, 255).astype(np.uint8))


def _crop(canvas: Canvas, rng: np.random.Generator, *, least: float) -> Canvas:
    height, width = canvas.shape[:2]
    high, wide = (max(64, int(side * rng.uniform(least, 1))) for side in (height, width))
    top, left = rng.integers(0, max(1, height - high)), rng.integers(0, max(1, width - wide))
    return canvas[top : top + high, left : left + wide]


def _drawn_closed(rng: np.random.Generator) -> Canvas:
    seed, opening = int(rng.integers(1 << 30)), float(rng.uniform(0.0, 0.06))
    return render_eye(seed, size=int(rng.integers(160, 320)), opening=opening, noise=float(rng.uniform(1, 6))).astype(
        np.float64
    )


def _one_of(eyes: Sequence[Pixels], rng: np.random.Generator) -> tuple[Pixels, Pupil | None]:
    photo = at_most(eyes[int(rng.integers(len(eyes)))], 320)
    return photo, find_pupil(photo)


def _shuffled(rng: np.random.Generator, eyes: Sequence[Pixels]) -> Canvas:
    """The tiles of an eye photo in another order: its colours, none of its shape."""
    photo, _ = _one_of(eyes, rng)
    count = int(rng.integers(2, 6))
    tile = max(16, min(photo.shape[:2]) // count)
    rows, columns = photo.shape[0] // tile, photo.shape[1] // tile
    tiles = [photo[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r in range(rows) for c in range(columns)]
    order = rng.permutation(len(tiles))
    lines = [np.hstack([tiles[order[r * columns + c]] for c in range(columns)]) for r in range(rows)]
    return np.vstack(lines).astype(np.float64)


def _beside(rng: np.random.Generator, eyes: Sequence[Pixels]) -> Canvas:
    """A piece of an eye photo without its pupil, at full size: skin, lashes, a corner."""
    photo, pupil = _one_of(eyes, rng)
    height, width = photo.shape[:2]
    side = int(min(height, width) * rng.uniform(0.2, 0.4))
    corners = [(0, 0), (0, width - side), (height - side, 0), (height - side, width - side)]
    x, y = (pupil.x * width, pupil.y * height) if pupil else (width / 2, height / 2)
    top, left = max(corners, key=lambda at: np.hypot(at[0] + side / 2 - y, at[1] + side / 2 - x) + rng.uniform(0, 40))
    piece = photo[top : top + side, left : left + side]
    enlarged = cv2.resize(piece, (200, int(200 * rng.uniform(0.7, 1))), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, dtype=np.float64)


def _closed(rng: np.random.Generator, eyes: Sequence[Pixels]) -> Canvas:
    """An eye photo with its upper lid drawn down over the eye."""
    photo, pupil = _one_of(eyes, rng)
    height, width = photo.shape[:2]
    y, radius = (pupil.y * height, pupil.radius * width) if pupil else (height / 2, 0.15 * width)
    lid, edge = int(max(8, y - 1.6 * radius)), int(min(height - 2, y + 1.3 * radius))
    if lid >= edge:
        return photo.astype(np.float64)[: height // 3]
    closed = photo.astype(np.float64)
    closed[:edge] = cv2.resize(photo[:lid], (width, edge), interpolation=cv2.INTER_CUBIC)
    rows = np.arange(height)[:, None, None]
    bend = edge - 0.15 * radius * ((np.arange(width)[None, :, None] / width - 0.5) * 4) ** 2
    return np.asarray(closed * (1 - 0.7 * np.exp(-(((rows - bend) / (0.06 * height)) ** 2))))


def _recoloured(rng: np.random.Generator, eyes: Sequence[Pixels]) -> Canvas:
    """An eye photo with rotated hues or inverted light: no real light looks like that."""
    photo, _ = _one_of(eyes, rng)
    if rng.random() < 0.4:
        return 255.0 - photo.astype(np.float64)
    hsv = convert(photo, cv2.COLOR_RGB2HSV)
    hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + int(rng.integers(40, 140))) % 180
    hsv[:, :, 1] = np.clip(hsv[:, :, 1].astype(int) * 1.6 + 30, 0, 255)
    return convert(hsv, cv2.COLOR_HSV2RGB).astype(np.float64)


_DRAWN: tuple[Callable[[np.random.Generator], Canvas], ...] = (
    *(
        procedural_images.dead_leaves,
        procedural_images.noise,
        procedural_images.document,
        procedural_images.face,
        procedural_images.landscape,
    ),
    *(
        procedural_images.dead_leaves,
        procedural_images.fur,
        procedural_images.screen,
        procedural_images.gradient,
        procedural_images.fundus,
        procedural_images.xray,
    ),
    *(_drawn_closed, procedural_images.dead_leaves, procedural_images.face),
)
_OF_EYES: tuple[Callable[[np.random.Generator, Sequence[Pixels]], Canvas], ...] = (
    *(_shuffled, _beside, _closed, _recoloured, _beside, _closed),
)
