"""Template variables of every page: the product's name, its intended use, and the upload limits."""

from django.conf import settings
from django.http import HttpRequest

from cataract.core.http.limits import upload_limits

# By their names, not as image/*: macOS then turns HEIC into JPEG before it is sent.
_PHOTOS = "image/jpeg,image/png,image/webp"


def product(request: HttpRequest) -> dict[str, str | bool | int]:
    """The name, the intended-use sentence, the idle limit, the provider of sign-ins, file types, upload limits."""
    return {
        "product_name": "Cataract screening",
        "intended_use": settings.INTENDED_USE,
        "idle_minutes": settings.SESSION_IDLE_MINUTES,
        "sign_on_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "accept_dicom": settings.ACCEPT_DICOM,
        "photo_types": f"{_PHOTOS},application/dicom,.dcm" if settings.ACCEPT_DICOM else _PHOTOS,
        **upload_limits(),
    }
