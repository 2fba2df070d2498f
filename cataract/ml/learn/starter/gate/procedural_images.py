"""Procedural images that show no eye, for training the gate (see `outliers`): natural image statistics (dead leaves and
1/f noise, Baradad et al. 2021), documents, screens, fundus photos, X-rays, landscapes, faces, fur.

Each function takes a random generator and returns a picture (H, W, 3) float64, about 0..255.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.float64]
_SKINS = ((236, 196, 172), (222, 174, 146), (196, 144, 112), (150, 102, 76), (104, 70, 52))


def _size(rng: np.random.Generator) -> tuple[int, int]:
    side = int(rng.integers(160, 320))
    return int(side * rng.uniform(0.62, 1.0)), side


def _grid(height: int, width: int) -> NDArray[np.float64]:
    """Rows and columns as shares of the sides, (2, H, W)."""
    return np.asarray(np.mgrid[:height, :width] / np.array([height, width])[:, None, None])


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random colour; pale ones and skin tones are more frequent than saturated ones."""
    if rng.random() < 0.25:
        return np.array(_SKINS[int(rng.integers(len(_SKINS)))]) * rng.uniform(0.7, 1.1)
    grey = rng.uniform(0, 255)
    return np.asarray(np.clip(grey + rng.normal(0, rng.uniform(5, 70), size=3), 0, 255))


def _field(rng: np.random.Generator, shape: tuple[int, int], steepness: float) -> NDArray[np.float64]:
    """Noise with a spectrum of 1/f**steepness, of unit deviation."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(shape))
    spectrum = np.fft.rfft2(rng.normal(size=shape)) / frequency**steepness
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-9))


def _texture(rng: np.random.Generator, shape: tuple[int, int], colour: NDArray[np.float64]) -> Canvas:
    """A surface of about one colour."""
    field = _field(rng, shape, rng.uniform(0.3, 1.6))[..., None] * rng.normal(1, 0.15, size=3)
    return np.asarray(colour * (1 + rng.uniform(0.02, 0.25) * field))


def noise(rng: np.random.Generator) -> Canvas:
    shape, steepness = _size(rng), rng.uniform(0, 2)
    shared = _field(rng, shape, steepness)
    planes = [shared + rng.uniform(0, 1) * _field(rng, shape, steepness) for _ in range(3)]
    return np.asarray(_colour(rng) + rng.uniform(15, 70) * np.stack(planes, axis=2))


def dead_leaves(rng: np.random.Generator) -> Canvas:
    """Discs, boxes and shards of all sizes, each hiding what lies behind it."""
    shape = _size(rng)
    canvas = _texture(rng, shape, _colour(rng))
    palette = [_colour(rng) for _ in range(int(rng.integers(3, 14)))]
    textured = rng.random() < 0.6
    for _ in range(int(rng.integers(20, 260))):
        radius = min(shape) * 0.5 / rng.uniform(1, 12) ** rng.uniform(0.7, 1.6)
        _leaf(canvas, rng, radius, palette[int(rng.integers(len(palette)))] + rng.normal(0, 12, size=3), textured)
    return canvas


def _leaf(canvas: Canvas, rng: np.random.Generator, radius: float, colour: NDArray[np.float64], textured: bool) -> None:
    height, width = canvas.shape[:2]
    middle = rng.uniform(0, 1, size=2) * (width, height)
    corners = int(rng.choice([3, 4, 5, 24]))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6)
    reach = radius * (1 if corners == 24 else rng.uniform(0.5, 1.2, size=corners))
    points = np.stack([np.cos(angles) * rng.uniform(0.4, 1), np.sin(angles)], axis=1) * np.reshape(reach, (-1, 1))
    mask = cv2.fillPoly(np.zeros((height, width), np.uint8), [(middle + points).round().astype(np.int32)], 1) > 0
    if mask.any():
        grain = 1 + 0.12 * rng.normal(size=(int(mask.sum()), 1)) if textured else 1.0
        canvas[mask] = np.clip(colour, 0, 255) * grain


def document(rng: np.random.Generator) -> Canvas:
    """Lines of text, sometimes with a table or a picture, on paper of any tint, slanted."""
    height, width = _size(rng)
    paper = 255 - np.abs(rng.normal(0, 22, size=3)) if rng.random() < 0.8 else _colour(rng)
    page = np.full((height, width, 3), paper)
    ink = (paper * rng.uniform(0, 0.35)).tolist()
    font, scale = int(rng.integers(0, 8)), rng.uniform(0.25, 1.1)
    step, top, left = int(30 * scale + 4), int(rng.integers(6, 40)), int(rng.integers(2, 30))
    for line in range(top, height + step, step):
        if rng.random() < 0.85:
            text = " ".join(
                "".join(rng.choice(list("abcdefghilmnoprstuvw0123456789"), int(rng.integers(2, 9)))) for _ in range(12)
            )
            cv2.putText(page, text[: int(rng.integers(6, 90))], (left, line), font, scale, ink, 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 7))):
        at = int(rng.integers(0, height))
        cv2.line(page, (0, at), (width, at), ink, 1)
    if rng.random() < 0.4:
        x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
        cv2.rectangle(page, (x, y), (x + width // 3, y + height // 3), _colour(rng).tolist(), -1)
    return _lit(_slanted(page, rng), rng)


def _slanted(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    height, width = canvas.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moved = corners + rng.normal(0, 0.05, size=(4, 2)).astype(np.float32) * (width, height)
    warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(cv2.warpPerspective(canvas, warp, (width, height), borderValue=_colour(rng).tolist()))


def _lit(canvas: Canvas, rng: np.random.Generator) -> Canvas:
    """Light from one side."""
    rows, columns = _grid(*canvas.shape[:2]) - 0.5
    side = rng.uniform(-0.5, 0.5, size=2)
    light = 1 + side[0] * rows + side[1] * columns
    return np.asarray(canvas * light[..., None])


def screen(rng: np.random.Generator) -> Canvas:
    """Boxes, bars and curves of a program or a plot."""
    height, width = _size(rng)
    canvas = np.full((height, width, 3), _colour(rng))
    for _ in range(int(rng.integers(3, 30))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        end = (x + int(rng.integers(4, width // 2)), y + int(rng.integers(3, height // 3)))
        cv2.rectangle(canvas, (x, y), end, _colour(rng).tolist(), -1 if rng.random() < 0.7 else 1)
    if rng.random() < 0.5:
        curve = height / 2 + height / 6 * _field(rng, (2, width), 1.2)[0]
        points = np.stack([np.arange(width), curve], axis=1).astype(np.int32)
        cv2.polylines(canvas, [points], False, _colour(rng).tolist(), 2)
    return canvas


def gradient(rng: np.random.Generator) -> Canvas:
    """Smooth light, straight or around a point, with or without discs and rings."""
    height, width = _size(rng)
    rows, columns = _grid(height, width) - rng.uniform(0, 1, size=(2, 1, 1))
    ramp = np.hypot(rows, columns) if rng.random() < 0.5 else np.abs(rows * rng.normal() + columns * rng.normal())
    share = (ramp / max(float(ramp.max()), 1e-9))[..., None]
    canvas = _colour(rng) * (1 - share) + _colour(rng) * share
    for _ in range(int(rng.integers(0, 6))):
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        thickness = -1 if rng.random() < 0.5 else int(rng.integers(1, 9))
        cv2.circle(canvas, middle, int(rng.integers(3, width // 3)), _colour(rng).tolist(), thickness, cv2.LINE_AA)
    return np.asarray(canvas * (1 + 0.03 * _field(rng, (height, width), 0.7)[..., None]))


def fundus(rng: np.random.Generator) -> Canvas:
    """The back of an eye: an orange disc on black, the optic disc, vessels that branch, the macula."""
    side = int(rng.integers(160, 320))
    rows, columns = (np.mgrid[:side, :side] - side / 2) / (side / 2)
    distance, radius = np.hypot(rows, columns), rng.uniform(0.8, 1.5)
    tint = np.array([rng.uniform(150, 225), rng.uniform(60, 120), rng.uniform(15, 70)])
    canvas = tint * (1 - 0.35 * distance[..., None] ** 2 + 0.06 * _field(rng, (side, side), 1.3)[..., None])
    head = np.array([rng.choice([-0.4, 0.4]) + rng.normal(0, 0.08), rng.normal(0, 0.08)])
    vessels = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(8, 18))):
        _vessel(vessels, head, rng.uniform(0, 2 * np.pi), rng.uniform(0.008, 0.02), rng, 2)
    canvas *= 1 - 0.55 * cv2.GaussianBlur(vessels, (0, 0), 0.8)[..., None] / 255
    canvas += 110 * np.exp(-((np.hypot(columns - head[0], rows - head[1]) / 0.15) ** 4))[..., None] * [1, 0.9, 0.6]
    canvas *= 1 - 0.4 * np.exp(-((np.hypot(columns + head[0], rows) / 0.16) ** 2))[..., None]
    canvas[distance > radius] = rng.uniform(0, 12)
    return np.asarray(canvas)


def _vessel(
    plane: NDArray[np.uint8],
    start: NDArray[np.float64],
    angle: float,
    width: float,
    rng: np.random.Generator,
    forks: int,
) -> None:
    """One vessel from `start` (-1..1) outwards, with branches."""
    side, point = plane.shape[0], start
    for step in range(22):
        angle += rng.normal(0, 0.16)
        following = point + 0.05 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(((end + 1) * side / 2).astype(int).tolist()) for end in (point, following)]
        cv2.line(plane, ends[0], ends[1], 200, max(1, round(width * side * (1 - step / 30))), cv2.LINE_AA)
        point = following
        if forks and rng.random() < 0.1:
            _vessel(plane, point, angle + rng.choice([-0.7, 0.7]), 0.6 * width, rng, forks - 1)


def xray(rng: np.random.Generator) -> Canvas:
    """Grey soft tissue with bright bones: ribs around a spine, or a limb."""
    height, width = _size(rng)
    rows, columns = _grid(height, width)
    body = np.exp(-(((columns - 0.5) / rng.uniform(0.25, 0.5)) ** 4)) * rng.uniform(60, 130)
    bone = np.exp(-(((columns - 0.5 - 0.05 * np.sin(5 * rows)) / rng.uniform(0.03, 0.09)) ** 2)) * rng.uniform(50, 110)
    if rng.random() < 0.7:
        body *= 1 - 0.6 * np.exp(-(((np.abs(columns - 0.5) - 0.2) / 0.11) ** 2) - ((rows - 0.45) / 0.3) ** 2)
        wave = np.sin(2 * np.pi * (rows * rng.uniform(5, 9) + 3 * np.abs(columns - 0.5)))
        bone += np.clip(wave, 0, 1) ** 3 * rng.uniform(20, 60) * (np.abs(columns - 0.5) < 0.42)
    grey = 10 + body + bone + 5 * _field(rng, (height, width), 0.8)
    grey = 255 - grey if rng.random() < 0.2 else grey
    return np.repeat(grey[..., None], 3, axis=2)


def landscape(rng: np.random.Generator) -> Canvas:
    """Sky, then hills, trees or houses, nearer ones in front."""
    height, width = _size(rng)
    horizon, across = rng.uniform(0.2, 0.7) * height, np.arange(width)
    rows = np.arange(height)[:, None, None] / height
    canvas = _colour(rng) * (1 - rows) + np.array([200.0, 220.0, 240.0]) * rng.uniform(0.7, 1.1) * rows
    canvas = canvas + 12 * _field(rng, (height, width), 1.5)[..., None]
    for layer in range(int(rng.integers(1, 5))):
        edge = horizon + layer * height * 0.12 + height * 0.07 * _field(rng, (2, width), rng.uniform(0.6, 1.6))[0]
        ground = _texture(rng, (height, width), np.array([90.0, 110.0, 60.0]) * rng.uniform(0.3, 1.4, size=3))
        below = np.arange(height)[:, None] > edge[None, across]
        canvas[below] = ground[below]
    for _ in range(int(rng.integers(0, 6))):
        _house(canvas, rng)
    return np.asarray(canvas)


def _house(canvas: Canvas, rng: np.random.Generator) -> None:
    """A front with a roof and windows in rows."""
    height, width = canvas.shape[:2]
    wide, high = int(width * rng.uniform(0.12, 0.5)), int(height * rng.uniform(0.2, 0.8))
    x, y = int(rng.integers(-wide // 3, width - wide // 2)), height - high - int(rng.integers(0, max(1, height // 4)))
    cv2.rectangle(canvas, (x, y), (x + wide, y + high), _colour(rng).tolist(), -1)
    roof = np.array(
        [[x - wide // 8, y], [x + wide // 2, y - int(high * rng.uniform(0, 0.5))], [x + wide + wide // 8, y]]
    )
    cv2.fillPoly(canvas, [roof.astype(np.int32)], _colour(rng).tolist())
    pane, gap = max(3, wide // int(rng.integers(4, 10))), int(rng.integers(2, 9))
    glass = _colour(rng).tolist()
    for top in range(y + gap, y + high - pane, pane + gap):
        for left in range(x + gap, x + wide - pane, pane + gap):
            cv2.rectangle(canvas, (left, top), (left + pane, top + pane), glass, -1)


def face(rng: np.random.Generator) -> Canvas:
    """One or more distant faces with dots for eyes; some have fur."""
    height, width = _size(rng)
    canvas = _texture(rng, (height, width), _colour(rng))
    if rng.random() < 0.5:
        canvas = dead_leaves(rng)
        height, width = canvas.shape[:2]
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        reach = min(height, width) * rng.uniform(0.15, 0.5)
        middle = (int(width * rng.uniform(0.25, 0.75)), int(height * rng.uniform(0.3, 0.7)))
        _head(canvas, middle, reach, rng)
    return canvas


def _head(canvas: Canvas, middle: tuple[int, int], reach: float, rng: np.random.Generator) -> None:
    fur = rng.random() < 0.4
    skin = _colour(rng) if fur else np.array(_SKINS[int(rng.integers(5))], dtype=np.float64)
    dark = (skin * rng.uniform(0.1, 0.6)).tolist()
    x, y = middle

    def oval(dx: float, dy: float, wide: float, high: float, colour: Sequence[float]) -> None:
        at = (int(x + dx * reach), int(y + dy * reach))
        axes = (max(1, int(wide * reach)), max(1, int(high * reach)))
        cv2.ellipse(canvas, at, axes, 0, 0, 360, list(colour), -1, cv2.LINE_AA)

    oval(0, -0.25, 0.85, 0.95, dark)
    oval(0, 1.6, 1.3, 0.7, _colour(rng).tolist())
    oval(0, 0, 0.72, 0.95, skin.tolist())
    for side in (-1, 1):
        oval(side * 0.3, -0.15, 0.14, 0.07, (235, 230, 225))
        oval(side * 0.3, -0.15, 0.06, 0.065, rng.uniform(10, 120, size=3).tolist())
        oval(side * 0.3, -0.34, 0.17, 0.03, dark)
    oval(0, 0.2, 0.1, 0.16, (skin * 0.85).tolist())
    oval(0, 0.52, 0.25, rng.uniform(0.03, 0.12), (skin * [0.8, 0.5, 0.5]).tolist())
    if fur:
        rows, columns = np.mgrid[: canvas.shape[0], : canvas.shape[1]]
        coat = np.hypot(columns - x, rows - y) < reach
        canvas[coat] *= 1 + 0.3 * _field(rng, (canvas.shape[0], canvas.shape[1]), 0.6)[coat][:, None]


def fur(rng: np.random.Generator) -> Canvas:
    """Strands in one direction, with spots or stripes."""
    height, width = _size(rng)
    strands = cv2.GaussianBlur(
        rng.normal(size=(height, width)), (0, 0), sigmaX=rng.uniform(0.5, 1.2), sigmaY=rng.uniform(2, 7)
    )
    spots = _field(rng, (height, width), rng.uniform(1.2, 2.2)) > rng.uniform(-0.5, 1.5)
    colour = _colour(rng) * np.where(spots[..., None], rng.uniform(0.15, 0.6), 1.0)
    return np.asarray(colour * (1 + rng.uniform(0.2, 0.6) * strands[..., None] / max(float(strands.std()), 1e-9) * 0.5))
