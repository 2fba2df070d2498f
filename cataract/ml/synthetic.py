"""Synthetic eyes: external eye photos with a graded lens opacity, for demos, tests and golden predictions.

Everything follows from the seed. The drawings say nothing about how well a model reads photographs.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cataract.ml.arrays import Pixels

_Plane = NDArray[np.float64]  # (H, W)
_IRIS = {"brown": (92, 58, 34), "hazel": (128, 96, 48), "green": (94, 106, 78), "blue": (100, 122, 146)}
_SKIN = ((236, 196, 172), (222, 174, 146), (196, 144, 112), (150, 102, 76), (104, 70, 52))


@dataclass(frozen=True)
class Look:
    """The look of a drawing; fields that are not set follow from the seed. Lengths are shares of the width."""

    iris: str  # brown, hazel, green or blue
    skin: int  # 0 (pale) to 4 (dark)
    iris_radius: float  # 0.12 to 0.3: also how close the camera is
    pupil: float  # radius of the pupil, as a share of the iris's, 0.3 to 0.75
    x: float  # middle of the eye, 0..1
    y: float
    rotation: float  # degrees
    opening: float  # 0 (closed lids) to 1
    light: float  # 1 is normal; 0.2 is too dark, 2.5 too bright
    warmth: float  # -1 (cold light) to 1 (warm)
    defocus: float  # standard deviation of the blur, share of the width; 0.03 is unusable
    noise: float  # grey levels


def render_eye(seed: int, *, opacity: float = 0.0, size: int = 320, **variation: float | str) -> Pixels:
    """Draw an eye: (size, size, 3) uint8 RGB.

    `opacity` is that of the lens, 0 (clear, black pupil) to 1 (white, mature cataract). `variation` fixes fields of
    `Look`; the rest follows from `seed`. Raises ValueError for an opacity outside 0..1, TypeError for an unknown field.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"Opacity is between 0 and 1, got {opacity}.")
    rng = np.random.default_rng(seed)
    look = replace(_look(rng), **variation)  # type: ignore[arg-type]
    return _draw(look, opacity, size, rng)


def _look(rng: np.random.Generator) -> Look:
    return Look(
        iris=str(rng.choice(list(_IRIS))),
        skin=int(rng.integers(len(_SKIN))),
        iris_radius=float(rng.uniform(0.15, 0.24)),
        pupil=float(rng.uniform(0.36, 0.62)),
        x=float(rng.uniform(0.44, 0.56)),
        y=float(rng.uniform(0.46, 0.56)),
        rotation=float(rng.normal(0, 6)),
        opening=float(rng.uniform(0.75, 1.0)),
        light=float(rng.uniform(0.85, 1.15)),
        warmth=float(rng.uniform(-0.6, 0.9)),
        defocus=float(rng.uniform(0.001, 0.004)),
        noise=float(rng.uniform(1, 4)),
    )


def _draw(look: Look, opacity: float, size: int, rng: np.random.Generator) -> Pixels:
    x, y = _coordinates(look, size)
    distance = np.hypot(x, y)
    canvas = _skin(look, x, y, size, rng)
    ball = _sclera(distance, size, rng)
    ball = _blend(ball, _iris(look, x, y, distance, rng), _inside(distance, 1.0, 0.03))
    ball = _blend(ball, _lens(look, opacity, x, y, distance, size, rng), _inside(distance, look.pupil, 0.025))
    ball = _highlight(ball, x, y, rng)
    upper, lower = _lids(look, x)
    open_part = _ramp(y - upper, 0.05) * _ramp(lower - y, 0.05)
    shade = 0.45 + 0.55 * np.clip((y - upper) / 0.5, 0, 1)  # the upper lid's shadow on the ball
    edge = 1 - 0.35 * np.exp(-(((y - upper) / 0.12) ** 2))
    canvas = _blend(canvas * edge[..., None], ball * shade[..., None], open_part)
    canvas = _lashes(canvas, look, size, rng)
    return _photograph(canvas, look, size, rng)


def _coordinates(look: Look, size: int) -> tuple[_Plane, _Plane]:
    """Coordinates of every pixel in iris radii from the middle of the eye, turned by the rotation."""
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size
    dx, dy = (columns - look.x) / look.iris_radius, (rows - look.y) / look.iris_radius
    angle = np.deg2rad(look.rotation)
    return dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)


def _lids(look: Look, x: _Plane) -> tuple[_Plane, _Plane]:
    """Heights of the upper and the lower lid's edge over x: an almond, closed at the two corners."""
    arch = np.clip(1 - (x / 2.15) ** 2, 0, 1)
    middle = 0.18 * (1 - look.opening) * 2
    return middle - 1.05 * look.opening * arch**0.8, middle + 0.98 * look.opening * arch**0.9


def _skin(look: Look, x: _Plane, y: _Plane, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    base = np.array(_SKIN[look.skin], dtype=np.float64)
    upper, lower = _lids(look, x)
    relief = 1 + 0.06 * _cloud(size, 5, rng) + 0.03 * _cloud(size, 24, rng) + 0.03 * _cloud(size, 90, rng)
    crease = 0.28 * np.exp(-(((y - upper + 0.42) / 0.06) ** 2)) + 0.14 * np.exp(-(((y - lower - 0.35) / 0.1) ** 2))
    brow = 0.75 * np.exp(-(((y + 2.25 - 0.1 * x**2) / 0.22) ** 2)) * (0.75 + 0.25 * _cloud(size, 90, rng))
    socket = 0.18 * np.exp(-(((x + 1.9) / 0.8) ** 2) - ((y / 1.2) ** 2))
    colour = base[None, None] * (relief * (1 - crease) * (1 - socket))[..., None]
    redness = np.exp(-(((y - lower) / 0.12) ** 2))[..., None] * np.array([10.0, -14.0, -12.0])
    return np.asarray((colour + redness) * (1 - np.clip(brow, 0, 0.85))[..., None])


def _sclera(distance: _Plane, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    shade = (1.0 - 0.07 * np.clip(distance - 1, 0, 2) ** 1.5 + 0.03 * _cloud(size, 6, rng))[..., None]
    ball = np.array([226.0, 218.0, 212.0]) * shade
    veins = np.zeros((size, size), dtype=np.uint8)
    for _ in range(int(rng.integers(10, 26))):
        angle, point = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.9, size=2) * size
        path = [point]
        for _ in range(12):
            angle += rng.normal(0, 0.5)
            path.append(path[-1] + size * 0.02 * np.array([np.cos(angle), np.sin(angle)]))
        vein = np.array(path).round().astype(np.int32)
        cv2.polylines(veins, [vein], False, int(rng.integers(60, 170)), 1, cv2.LINE_AA)
    return _blend(
        ball, np.array([186.0, 66.0, 60.0]), np.asarray(cv2.GaussianBlur(veins, (0, 0), 0.8), dtype=np.float64) / 255
    )


def _iris(look: Look, x: _Plane, y: _Plane, distance: _Plane, rng: np.random.Generator) -> NDArray[np.float64]:
    """Fibres: noise along the angle, stretched along the radius; a dark limbal ring and a lighter collarette."""
    if look.iris not in _IRIS:
        raise ValueError(f"An iris is one of {', '.join(_IRIS)}, not {look.iris!r}.")
    around = np.pad(rng.normal(size=(12, 240)), ((0, 0), (4, 4)), mode="wrap")  # no seam where the angle starts again
    strips = cv2.GaussianBlur(around, (0, 0), 1.0)[:, 4:-3]
    rows = (np.clip(distance, 0, 1) * 11).astype(np.float32)
    columns = ((np.arctan2(y, x) / (2 * np.pi) % 1.0) * 240).astype(np.float32)
    fibres = cv2.remap(strips.astype(np.float32), columns, rows, cv2.INTER_LINEAR)
    light = 1 + 0.55 * fibres + 0.35 * np.exp(-(((distance - look.pupil - 0.16) / 0.12) ** 2))
    light = light * (1 - 0.65 * np.clip((distance - 0.82) / 0.18, 0, 1) ** 1.5)
    return np.asarray(np.array(_IRIS[look.iris], dtype=np.float64) * np.clip(light, 0.25, 2.0)[..., None])


def _lens(
    look: Look, opacity: float, x: _Plane, y: _Plane, distance: _Plane, size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The pupil: black, veiled by grey, white or amber, thicker in the nucleus or along spokes."""
    inner = distance / look.pupil
    spokes = np.cos(np.arctan2(y, x) * int(rng.integers(5, 10)) + rng.uniform(0, 6)) * np.clip(inner, 0, 1)
    nuclear = np.exp(-((inner / rng.uniform(0.6, 1.1)) ** 2))
    mixture = rng.uniform(0, 0.6)
    cloud = _cloud(size, 14, rng)
    veil = opacity * np.clip(0.62 + 0.3 * nuclear + 0.2 * mixture * spokes + 0.1 * cloud, 0, 1)
    amber = rng.uniform(0, 1) * (1 - opacity)
    white = np.array([214.0, 216.0, 212.0]) * (1 - amber) + np.array([186.0, 160.0, 112.0]) * amber
    return _blend(np.full((size, size, 3), 12.0), white, veil)


def _highlight(ball: NDArray[np.float64], x: _Plane, y: _Plane, rng: np.random.Generator) -> NDArray[np.float64]:
    for strength, reach in ((1.0, rng.uniform(0.08, 0.16)), (0.5, rng.uniform(0.04, 0.09))):
        at_x, at_y = rng.uniform(-0.45, 0.45), rng.uniform(-0.5, 0.1)
        spot = np.exp(-((((x - at_x) / reach) ** 2 + ((y - at_y) / (reach * rng.uniform(0.7, 1.3))) ** 2) ** 2))
        ball = _blend(ball, np.array([250.0, 250.0, 248.0]), strength * spot)
    return ball


def _lashes(canvas: NDArray[np.float64], look: Look, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    mask = np.zeros((size, size), dtype=np.uint8)
    angle = np.deg2rad(look.rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([look.x, look.y])
    for side, count, length in ((0, 46, 0.5), (1, 26, 0.22)):
        for x in np.linspace(-2.0, 2.0, count) + rng.normal(0, 0.03, count):
            root = np.array([x, float(_lids(look, np.array([x]))[side][0])])
            reach = length * rng.uniform(0.6, 1.1) * (1 if side else -1)
            bend = root + np.array([0.10 * x, 0.45 * reach])
            tip = root + np.array([0.34 * x, reach])
            curve = np.array([middle + turn @ point * look.iris_radius for point in (root, bend, tip)]) * size
            cv2.polylines(mask, [curve.round().astype(np.int32)], False, 210, max(1, size // 260), cv2.LINE_AA)
    return _blend(canvas, np.array([24.0, 18.0, 16.0]), mask / 255.0)


def _photograph(canvas: NDArray[np.float64], look: Look, size: int, rng: np.random.Generator) -> Pixels:
    """Light from one side, its colour, blur, grain; then rounded to bytes."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    side = rng.uniform(-0.35, 0.35, size=2)
    light = look.light * (1 + side[0] * columns + side[1] * rows)
    colour = np.array([1 + 0.10 * look.warmth, 1.0, 1 - 0.16 * look.warmth])
    photo = canvas * light[..., None] * colour
    if look.defocus > 0:
        photo = cv2.GaussianBlur(photo, (0, 0), max(0.3, look.defocus * size))
    photo = photo + rng.normal(0, look.noise, size=photo.shape)
    return np.asarray(np.clip(np.rint(photo), 0, 255), dtype=np.uint8)


def _cloud(size: int, cells: int, rng: np.random.Generator) -> _Plane:
    """Smooth noise of unit deviation with about `cells` bumps along a side."""
    coarse = rng.normal(size=(cells + 3, cells + 3)).astype(np.float32)
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    return np.asarray(fine / max(1e-6, float(fine.std())))


def _inside(distance: _Plane, radius: float, softness: float) -> _Plane:
    return _ramp(radius - distance, softness)


def _ramp(value: _Plane, softness: float) -> _Plane:
    return np.asarray(np.clip(value / softness + 0.5, 0, 1))


def _blend(under: NDArray[np.float64], over: NDArray[np.float64], share: _Plane) -> NDArray[np.float64]:
    weight = np.asarray(share)[..., None]
    return np.asarray(under * (1 - weight) + over * weight)
