"""The photo of a case as readers see it."""

from cataract.ml import images
from predictions import storage
from review.models import ReviewCase

VIEW_SIDE = 2048  # pixels: enough for 1:1 on a screen, a tenth of the bytes of an original


def photo_of(case: ReviewCase) -> bytes:
    """The photo as an sRGB JPEG of at most 2,048 px a side, re-encoded and without metadata."""
    return storage.derivative(case.image.stored_name, "view", lambda file: images.derivative(file, max_side=VIEW_SIDE))
