"""Derivatives of stored photos: smaller JPEGs for browsers and letters."""

from predictions.photos import intake, storage
from predictions.photos.models import EyeImage

SIDES = {"view": 2048, "thumb": 320}


def derivative_of(image: EyeImage, kind: str) -> bytes:
    """The derivative `view` or `thumb` of a photo as JPEG. Raises FileNotFoundError when the file is missing."""
    side = SIDES[kind]
    return storage.derivative(image.stored_name, kind, lambda data: intake.derivative(data, max_side=side))
