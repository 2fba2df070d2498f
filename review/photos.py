"""The photo of a case as readers see it."""

import io

from PIL import Image, ImageOps

from cataract.ml import images
from predictions import storage
from review.models import ReviewCase

VIEW_SIDE = 2048  # pixels: enough for 1:1 on a screen, a tenth of the bytes of an original


def photo_of(case: ReviewCase) -> bytes:
    """The photo as an sRGB JPEG of at most 2,048 px a side, without metadata; mirrored where the case is."""
    make, kind = (_mirrored, "view-mirrored") if case.mirrored else (_view, "view")
    return storage.derivative(case.image.stored_name, kind, make)


def _view(file: bytes) -> bytes:
    return images.derivative(file, max_side=VIEW_SIDE)


def _mirrored(file: bytes) -> bytes:
    mirrored = io.BytesIO()
    with Image.open(io.BytesIO(_view(file))) as view:
        ImageOps.mirror(view).save(mirrored, "JPEG", quality=92)
    return mirrored.getvalue()
