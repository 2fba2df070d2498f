"""The evidence for a release as a PDF, with its photos."""

from uuid import UUID

from django.conf import settings

from cataract.core.documents.pdf import render
from predictions.photos import intake, storage
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from training.evidence.report import evidence_for

_SIDE = 480  # pixels of a photo in the PDF


def evidence_pdf(release: Release) -> bytes:
    """The document of `evidence_for` as a PDF."""
    return render(evidence_for(release), footer=settings.INTENDED_USE, photo=_photo)


def _photo(image_id: str) -> bytes | None:
    """A small JPEG of a stored photo; None when the photo or its file is deleted."""
    image = EyeImage.objects.kept().filter(pk=UUID(image_id)).first()
    try:
        return intake.derivative(storage.read(image.stored_name), max_side=_SIDE) if image else None
    except FileNotFoundError:
        return None
