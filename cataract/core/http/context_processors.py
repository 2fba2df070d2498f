"""Template variables of every page: the product's name, its intended use, and the upload limits."""

from django.conf import settings
from django.http import HttpRequest

from cataract.core.http.limits import upload_limits

# By their names, not as image/*: macOS then turns HEIC into JPEG before it is sent.
_PHOTOS = "image/jpeg,image/png,image/webp"


def product(request: HttpRequest) -> dict[str, str | bool | int]:
    """Name, intended use, whether this is a demo, idle limit, provider of sign-ins, types of photos, upload limits."""
    return {
        "product_name": "Cataract screening",
        "intended_use": settings.INTENDED_USE,
        "is_demo": settings.DEMO,
        "idle_minutes": settings.SESSION_IDLE_MINUTES,
        "sign_on_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "accept_dicom": settings.ACCEPT_DICOM,
        "photo_types": f"{_PHOTOS},application/dicom,.dcm" if settings.ACCEPT_DICOM else _PHOTOS,
        **upload_limits(),
    }
