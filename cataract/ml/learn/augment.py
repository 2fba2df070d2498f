"""Random crops and random changes of photos, the same for pretraining and for fine-tuning.

A crop imitates one of the views that serving cuts (whole photo, centre, pupil). Photographs change by what cameras do:
light, colour, blur, noise, compression, turning. White frames and cards appear around photos of both classes alike,
because in the public sets they go with one class only.
"""

import albumentations as A
import cv2
import numpy as np

from cataract.ml.arrays import Pixels
from cataract.ml.encoder import PUPIL_CONFIDENCE, PUPIL_REACH
from cataract.ml.eye import Pupil


def changes(size: int) -> A.Compose:
    """The random changes of a (size, size, 3) uint8 photo. Seed it with `set_random_seed` before each batch."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.05),
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
            A.RandomGamma(gamma_limit=(70, 140), p=0.25),
            A.ToGray(p=0.08),
            A.OneOf([A.GaussianBlur(blur_limit=(3, 7)), A.MotionBlur(blur_limit=(3, 9))], p=0.3),
            A.GaussNoise(std_range=(0.01, 0.05), p=0.2),
            A.ImageCompression(quality_range=(30, 85), p=0.2),
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
    elif draw < whole + (1 - whole) * 0.4 or pupil is None or pupil.confidence < PUPIL_CONFIDENCE:
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
