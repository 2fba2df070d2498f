"""What every page may say without its view saying so."""

from django.conf import settings
from django.http import HttpRequest

# By their names, not as image/*: macOS then turns HEIC into JPEG before it is sent.
_PHOTOS = "image/jpeg,image/png,image/webp"


def product(request: HttpRequest) -> dict[str, str | bool]:
    """The name of the product, the intended-use sentence, and the files that a form for photos offers to choose."""
    return {
        "product_name": "Cataract screening",
        "intended_use": settings.INTENDED_USE,
        "accept_dicom": settings.ACCEPT_DICOM,
        "photo_types": f"{_PHOTOS},application/dicom,.dcm" if settings.ACCEPT_DICOM else _PHOTOS,
    }
