"""Serve stored photos: derivatives to browsers, originals as attachments."""

from pathlib import Path
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from cataract.core.audit.models import Act
from cataract.core.audit.services import record, record_view
from cataract.core.http.users import user_of
from predictions.photos import storage
from predictions.photos.derivatives import derivative_of
from predictions.photos.models import EyeImage


@login_required
@require_GET
def photo(request: HttpRequest, image_id: UUID, kind: str) -> HttpResponse:
    """A derivative of a photo, or the stored original as an attachment for users who may download it."""
    image = get_object_or_404(EyeImage.objects.visible_to(user_of(request)), pk=image_id)
    if kind == "original":
        if not user_of(request).has_perm("predictions.download_original"):
            raise Http404
        record(Act.PHOTO_DOWNLOADED, about=image, user=user_of(request))
        suffix = Path(image.stored_name).suffix
        response = HttpResponse(storage.read(image.stored_name), content_type="application/octet-stream")
        response["Content-Disposition"] = f'attachment; filename="{image.pk}{suffix}"'
    else:
        response = HttpResponse(_derivative(image, kind), content_type="image/jpeg")
        record_view(Act.PHOTO_VIEWED, photo=image, user=user_of(request), size=kind)
        response["Content-Disposition"] = "inline"
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _derivative(image: EyeImage, kind: str) -> bytes:
    try:
        return derivative_of(image, kind)
    except FileNotFoundError as error:
        raise Http404("The file of this photo is missing.") from error
