"""Photos as readers see them, and heat maps."""

import io

import numpy as np
from PIL import Image, ImageOps

from cataract.ml.cascade.explain import heatmap, overlay
from cataract.ml.encoding.pupil import find_pupil
from cataract.ml.photos import images
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.photos import intake, storage
from predictions.photos.models import EyeImage
from predictions.releases import serving
from review.cases.models import ReviewCase

VIEW_SIDE = 2048  # pixels: enough for 1:1 on a screen, a tenth of the bytes of an original


def photo_of(case: ReviewCase) -> bytes:
    """The photo of a case as an sRGB JPEG without metadata, at most 2,048 px a side; mirrored if the case is."""
    return view_of(case.image, mirrored=case.mirrored)


def view_of(image: EyeImage, *, mirrored: bool = False) -> bytes:
    """Any photo in the same form."""
    make, kind = (_mirrored, "view-mirrored") if mirrored else (_view, "view")
    return storage.derivative(image.stored_name, kind, make)


def pupil_of(case: ReviewCase) -> dict[str, float]:
    """The circle to zoom to: x and y of its middle, and its radius, as shares of the photo's width and height.

    Found in the photo alone, so it says nothing about any answer. The middle of the photo where no pupil is found.
    """
    found = find_pupil(images.decode(photo_of(case)))
    if found is None or not found.is_sure:
        return {"x": 0.5, "y": 0.5, "radius": 0.2}
    return {"x": round(found.x, 4), "y": round(found.y, 4), "radius": round(found.radius, 4)}


def heat_of(case: ReviewCase) -> bytes:
    """A JPEG of the photo, dark where the release that answered did not look. Takes a second or two, then is cached.

    Raises ReleaseCorrupt when that release is no longer installed.
    """
    release = case.prediction.release if case.prediction is not None else None
    if release is None:
        raise ReleaseCorrupt("No release has answered this case.")
    cascade = serving.load(release)

    def draw(file: bytes) -> bytes:
        # `intake.derivative` returns a JPEG from our own decoder process, so decoding it here is safe.
        pixels = images.decode(intake.derivative(file, max_side=VIEW_SIDE))
        return _encoded(Image.fromarray(np.ascontiguousarray(overlay(pixels, heatmap(cascade, pixels)))))

    return storage.derivative(case.image.stored_name, f"heat-{release.pk}", draw)


def _view(file: bytes) -> bytes:
    return intake.derivative(file, max_side=VIEW_SIDE)


def _mirrored(file: bytes) -> bytes:
    with Image.open(io.BytesIO(_view(file))) as view:
        return _encoded(ImageOps.mirror(view))


def _encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()
