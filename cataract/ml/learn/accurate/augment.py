"""Random crops and random changes of photos, the same for pretraining and for fine-tuning.

A crop imitates one of the views that serving cuts (whole photo, centre, pupil). Changes imitate cameras: light, colour,
blur, noise, few pixels, compression, rotation. White frames and cards appear around photos of both classes, because in
the public sets they occur with one class only. For the same reason an eye is sometimes set into the lids and skin of
another photo (`transplant`): then only the eye tells the class. A healthy lens is sometimes drawn clouded (`cloud`):
then only the lens does.
"""

import math

import albumentations as A
import cv2
import numpy as np

from cataract.ml.arrays import Pixels
from cataract.ml.encoding.encoder import PUPIL_REACH
from cataract.ml.encoding.pupil import Pupil

_SMOOTH = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}


def changes(size: int) -> A.Compose:
    """The random changes of a (size, size, 3) uint8 photo. Seed it with `set_random_seed` before each batch."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.05),
            A.RandomRotate90(p=0.25),
            A.OneOf(
                [
                    A.Affine(rotate=(-30, 30), shear=(-8, 8), border_mode=cv2.BORDER_REFLECT_101, p=1),
                    A.Affine(rotate=(-20, 20), scale=(0.75, 1), border_mode=cv2.BORDER_CONSTANT, fill=255, p=0.25),
                    A.Affine(rotate=(-20, 20), scale=(0.75, 1), border_mode=cv2.BORDER_REPLICATE, p=0.25),
                ],
                p=0.75,
            ),
            A.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3, p=0.7),
            A.HueSaturationValue(hue_shift_limit=8, sat_shift_limit=35, val_shift_limit=15, p=0.6),
            A.PlanckianJitter(p=0.3),
            A.RandomGamma(gamma_limit=(70, 140), p=0.25),
            A.ToGray(p=0.1),
            A.OneOf([A.GaussianBlur(blur_limit=(3, 7)), A.MotionBlur(blur_limit=(3, 9))], p=0.25),
            A.Downscale(scale_range=(0.35, 0.9), interpolation_pair=_SMOOTH, p=0.2),
            A.GaussNoise(std_range=(0.01, 0.05), p=0.15),
            A.ImageCompression(quality_range=(25, 85), p=0.2),
            A.CoarseDropout(num_holes_range=(1, 2), hole_height_range=(0.1, 0.3), hole_width_range=(0.1, 0.3), p=0.15),
        ]
    )


def random_crop(
    photo: Pixels, pupil: Pupil | None, size: int, rng: np.random.Generator, *, whole: float = 0.35
) -> Pixels:
    """A random crop of an (H, W, 3) photo at (size, size), like one of the views; `whole`: share of whole photos."""
    height, width = photo.shape[:2]
    draw = rng.random()
    if draw < whole:
        share = np.sqrt(rng.uniform(0.6, 1.0))
        box_width, box_height = share * width, share * height
        x, y = rng.uniform(box_width / 2, width - box_width / 2), rng.uniform(box_height / 2, height - box_height / 2)
    elif draw < whole + (1 - whole) * 0.4 or pupil is None or not pupil.is_sure:
        box_width = box_height = min(height, width) * rng.uniform(0.5, 0.9)
        x, y = width / 2 + rng.normal(0, 0.05) * width, height / 2 + rng.normal(0, 0.05) * height
    else:
        box_width = box_height = 2 * PUPIL_REACH * pupil.radius * width * rng.uniform(0.75, 1.4)
        x = pupil.x * width + rng.normal(0, 0.1) * box_width
        y = pupil.y * height + rng.normal(0, 0.1) * box_height
    return cut(photo, x, y, box_width * rng.uniform(0.9, 1.1), box_height * rng.uniform(0.9, 1.1), size, rng)


def cut(photo: Pixels, x: float, y: float, wide: float, high: float, size: int, rng: np.random.Generator) -> Pixels:
    """The box around (x, y), moved inside the photo, resized with one of several filters."""
    height, width = photo.shape[:2]
    wide, high = int(min(max(wide, 12), width)), int(min(max(high, 12), height))
    left = int(min(max(x - wide / 2, 0), width - wide))
    top = int(min(max(y - high / 2, 0), height - high))
    box = photo[top : top + high, left : left + wide]
    method = cv2.INTER_AREA if min(wide, high) > size else int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    return np.asarray(cv2.resize(box, (size, size), interpolation=method), dtype=np.uint8)


def transplant(eye: Pixels, pupil: Pupil, photo: Pixels, place: Pupil, rng: np.random.Generator) -> Pixels:
    """A copy of `photo` whose pupil (at `place`) is covered by that of `eye`, with as much around it, edges blended.

    Both are (H, W, 3) uint8. The circle that is moved is 0.95 to 1.3 times the one that was found: in some photos that
    is the pupil's, in others the iris's.
    """
    height, width = photo.shape[:2]
    reach = rng.uniform(0.95, 1.3)
    radius = max(3, round(reach * place.radius * width))
    side = 2 * radius + 1
    source = reach * pupil.radius * eye.shape[1]
    scale = side / (2 * source)
    shift = (radius - scale * pupil.x * eye.shape[1], radius - scale * pupil.y * eye.shape[0])
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], dtype=np.float64)
    disc = cv2.warpAffine(eye, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    x, y = round(place.x * width), round(place.y * height)
    left, top, right, bottom = (
        max(x - radius, 0),
        max(y - radius, 0),
        min(x + radius + 1, width),
        min(y + radius + 1, height),
    )
    inside = (slice(top - y + radius, bottom - y + radius), slice(left - x + radius, right - x + radius))
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    soft = max(1.0, radius * rng.uniform(0.05, 0.25))
    share = np.clip((radius - np.hypot(rows, columns)) / soft, 0, 1)[inside][..., None]
    result = photo.copy()
    under = result[top:bottom, left:right]
    result[top:bottom, left:right] = (share * disc[inside] + (1 - share) * under).astype(np.uint8)
    return result


def cloud(photo: Pixels, pupil: Pupil, rng: np.random.Generator) -> Pixels | None:
    """A copy of a photo of a healthy eye with a clouded lens drawn into its pupil, grey, white or amber, as bright as
    the photo's light allows and behind the reflections. None when no round dark pupil is where the circle was found.
    """
    height, width = photo.shape[:2]
    reach = round(1.3 * pupil.radius * width)
    left, top = max(0, round(pupil.x * width) - reach), max(0, round(pupil.y * height) - reach)
    box = photo[top : top + 2 * reach, left : left + 2 * reach]
    disc = _dark_disc(box) if min(box.shape[:2]) >= 12 else None
    if disc is None:
        return None
    x, y, radius = disc
    if radius > 0.5 * reach:  # a dark iris and its pupil look the same: the lens is somewhere in between
        radius *= rng.uniform(0.45, 1.0)
    rows, columns = np.ogrid[: box.shape[0], : box.shape[1]]
    inner = np.hypot(columns - x, rows - y) / radius
    nucleus = np.exp(-((inner / rng.uniform(0.6, 1.4)) ** 2))
    spokes = np.cos(np.arctan2(rows - y, columns - x) * int(rng.integers(5, 10)) + rng.uniform(0, 6)) * inner
    density = rng.uniform(0.3, 1.0) * np.clip(0.65 + 0.35 * nucleus + rng.uniform(0, 0.15) * spokes, 0, 1)
    share = np.clip((1 - inner) / rng.uniform(0.05, 0.25) + 0.5, 0, 1) * density
    light = np.clip(np.percentile(box, 90) / 220, 0.4, 1.1)
    lens = light * (np.array([214, 216, 212]) - rng.uniform(0, 1) ** 3 * np.array([28, 56, 100]))
    result = photo.copy()
    result[top : top + 2 * reach, left : left + 2 * reach] = box + share[..., None] * np.maximum(lens - box, 0)
    return result


def _dark_disc(box: Pixels) -> tuple[float, float, float] | None:
    """(x, y, radius) in pixels of the darkest round shape in an (H, W, 3) crop around a pupil or an iris."""
    grey = cv2.medianBlur(cv2.cvtColor(box, cv2.COLOR_RGB2GRAY), 5)
    darkest, middle = np.percentile(grey, (3, 60))
    if middle - darkest < 30:
        return None
    dark = (grey < darkest + 0.35 * (middle - darkest)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (len(box) // 24) + 1,) * 2)
    # Opening removes lashes, closing fills in reflections.
    dark = cv2.morphologyEx(cv2.morphologyEx(dark, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel)
    count, _, found, centres = cv2.connectedComponentsWithStats(dark)
    if count < 2:
        return None
    best = 1 + int(np.argmax(found[1:, cv2.CC_STAT_AREA]))
    wide, high, area = (float(found[best, what]) for what in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    round_enough = 0.65 < wide / high < 1.55 and area > 0.8 * math.pi / 4 * wide * high
    if not round_enough or area < 0.01 * box[:, :, 0].size:
        return None
    return float(centres[best][0]), float(centres[best][1]), math.sqrt(area / math.pi)


def hide(photo: Pixels, pupil: Pupil, rng: np.random.Generator) -> Pixels:
    """A copy of a photo with a disc of one colour over the pupil and some of what surrounds it: it cannot be judged.

    The colour is that of the iris or the lids beside it, that of a random place of the photo, or any.
    """
    height, width = photo.shape[:2]
    middle, draw = (round(pupil.x * width), round(pupil.y * height)), rng.random()
    radius = max(2, round(rng.uniform(0.6, 1.4) * pupil.radius * width))
    if draw < 0.5:
        angle, away = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.9, 1.2)
        row = int(np.clip(middle[1] + away * np.sin(angle), 0, height - 1))
        column = int(np.clip(middle[0] + away * np.cos(angle), 0, width - 1))
        colour = photo[row, column]
    else:
        colour = photo[rng.integers(height), rng.integers(width)] if draw < 0.85 else rng.integers(0, 256, 3)
    result = photo.copy()
    cv2.circle(result, middle, radius, [int(c) for c in colour], -1, cv2.LINE_AA)
    return result


def glare(photo: Pixels, rng: np.random.Generator, *, x: float = 0.5, y: float = 0.5, reach: float = 0.3) -> Pixels:
    """A copy of a photo with the reflection of a lamp, a ring light or a window near (x, y): no sign of a cataract.

    x, y: relative to the sides; reach: of the eye, relative to the short side.
    """
    height, width = photo.shape[:2]
    size = reach * min(height, width)
    middle = (int(rng.normal(x * width, 0.4 * size)), int(rng.normal(y * height, 0.4 * size)))
    axes = (max(1, int(rng.uniform(0.05, 0.45) * size)), max(1, int(rng.uniform(0.05, 0.45) * size)))
    light = np.zeros((height, width), dtype=np.float32)
    match int(rng.integers(4)):
        case 0:
            cv2.ellipse(light, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        case 1:
            ring = max(1, int(0.25 * axes[0]))
            cv2.circle(light, middle, max(2, axes[0]), 1.0, ring)
        case _:
            box = cv2.boxPoints((middle, (2.0 * axes[0], 2.0 * axes[1]), float(rng.normal(0, 12))))
            cv2.fillConvexPoly(light, box.astype(np.int32), 1.0)
            if rng.random() < 0.5:  # the bars of a window
                bar = max(1, axes[0] // 6)
                cv2.line(light, (middle[0], middle[1] - axes[1]), (middle[0], middle[1] + axes[1]), 0.0, bar)
                cv2.line(light, (middle[0] - axes[0], middle[1]), (middle[0] + axes[0], middle[1]), 0.0, bar)
    share = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 2.0))[..., None] * rng.uniform(0.3, 1.0)
    colour = rng.uniform(205, 255) - np.array([rng.uniform(0, 40), rng.uniform(0, 20), 0.0])
    return np.asarray(share * colour + (1 - share) * photo, dtype=np.uint8)


def veil(photo: Pixels, rng: np.random.Generator, *, x: float = 0.5, y: float = 0.5, reach: float = 0.3) -> Pixels:
    """A copy of a photo under haze: over all of it, from one side, or in a soft patch around (x, y).

    Haze brightens the pupil and the iris alike, so it is no sign of a cataract. x, y, reach: see `glare`.
    """
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    match int(rng.integers(3)):
        case 0:
            share = np.ones((height, width), dtype=np.float32)
        case 1:
            angle = rng.uniform(0, 2 * np.pi)
            along = np.cos(angle) * (columns / width - 0.5) + np.sin(angle) * (rows / height - 0.5)
            share = np.clip(0.5 + rng.uniform(0.5, 1.5) * along, 0, 1)
        case _:
            wide = rng.uniform(1.3, 3.0) * reach * min(height, width)
            centre_x, centre_y = (x + rng.normal(0, 0.1)) * width, (y + rng.normal(0, 0.1)) * height
            share = np.exp(-(((columns - centre_x) ** 2 + (rows - centre_y) ** 2) / wide**2))
    density = rng.uniform(0.1, 0.55)
    grey = rng.uniform(110, 245)
    colour = np.clip(grey + rng.normal(0, 12, 3) + rng.choice([-1, 1]) * np.array([12.0, 0.0, -12.0]), 0, 255)
    amount = (density * share)[..., None]
    return np.asarray(amount * colour + (1 - amount) * photo, dtype=np.uint8)


def healthy_variant(photo: Pixels, pupil: Pupil | None, rng: np.random.Generator) -> Pixels:
    """A copy of a photo as another camera could have taken it of the same eye: closer, hazy, with reflections.

    None of it changes whether there is a cataract.
    """
    place = {"x": pupil.x, "y": pupil.y, "reach": _iris_reach(photo, pupil)} if pupil and pupil.is_sure else {}
    if rng.random() < 0.4:
        photo = veil(photo, rng, **place)
    if rng.random() < 0.4:
        photo = glare(photo, rng, **place)
    return _closer(photo, pupil, rng) if pupil and pupil.is_sure and rng.random() < 0.4 else photo


def _iris_reach(photo: Pixels, pupil: Pupil) -> float:
    """The radius of the circle relative to the short side, as `glare` and `veil` want it."""
    height, width = photo.shape[:2]
    return float(min(0.5, pupil.radius * width / min(height, width)))


def _closer(photo: Pixels, pupil: Pupil, rng: np.random.Generator) -> Pixels:
    """The photo from a shorter distance: the circle and some of what surrounds it."""
    height, width = photo.shape[:2]
    half = rng.uniform(1.3, 3.0) * pupil.radius * width
    left, right = max(0, int(pupil.x * width - half * rng.uniform(0.9, 1.3))), int(pupil.x * width + half)
    top, bottom = max(0, int(pupil.y * height - half)), int(pupil.y * height + half * rng.uniform(0.9, 1.3))
    box = photo[top:bottom, left:right]
    return box if min(box.shape[:2]) >= 32 else photo
