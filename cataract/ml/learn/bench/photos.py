"""The photos that `manage.py bench` measures with: synthetic eyes of typical and camera size, or a folder's."""

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cataract.ml.photos import images
from cataract.ml.photos.refusals import PhotoRefused
from cataract.ml.synthetic import render_eye

TYPICAL, LARGE, GIVEN = "typical", "12 MP", "given"


@dataclass(frozen=True)
class Photo:
    """A photo file in memory; `group` is what it is reported under."""

    name: str
    group: str
    data: bytes


def drawn_photos() -> list[Photo]:
    """Synthetic eyes at the sizes of the public photos, and one 12 MP photo with the detail of a camera's."""
    typical = [
        Photo(f"synthetic eye of {size} px", TYPICAL, _jpeg(render_eye(seed, opacity=seed % 2 * 0.9, size=size)))
        for seed, size in enumerate((160, 224, 320, 320, 480, 640))
    ]
    return [*typical, Photo("synthetic eye of 12 MP", LARGE, detailed_photo())]


def detailed_photo(seed: int = 7) -> bytes:
    """A JPEG of 4000 x 3000 px and 2 to 4 MB: a synthetic eye with the grain of a sensor."""
    eye = cv2.resize(render_eye(seed, opacity=0.6, size=1000), (4000, 4000), interpolation=cv2.INTER_CUBIC)[500:3500]
    grain = np.random.default_rng(seed).normal(0, 5, size=(3000, 4000, 1)).astype(np.float32)
    return _jpeg(np.clip(eye + grain, 0, 255).astype(np.uint8))


def photos_of(folder: Path, *, most: int = 24) -> list[Photo]:
    """The first `most` photos below a folder that can be decoded. Raises ValueError when there is none."""
    photos = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")):
        data = path.read_bytes()
        try:
            images.inspect(data)
            images.decode(data)
        except PhotoRefused:
            continue
        photos.append(Photo(path.name, GIVEN, data))
        if len(photos) == most:
            break
    if not photos:
        raise ValueError(f"There is no usable photo below {folder} (JPEG, PNG or WebP).")
    return photos


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()
