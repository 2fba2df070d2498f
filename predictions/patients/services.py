"""Show patients, and record what was shown: whoever has seen an answer never reads that photo blind."""

from collections.abc import Sequence

from django.contrib.auth.models import User

from predictions.answering import services as answering
from predictions.patients.overview import Overview, overviews
from predictions.photos.models import EyeImage
from predictions.sites.models import Patient


def show_list(*, last_photos: Sequence[EyeImage], user: User) -> list[Overview]:
    """The overviews of the patients on these photos, of which `user` is shown the counting result of each eye."""
    shown = overviews([_with_last_photo(photo) for photo in last_photos], user)
    answering.disclose(predictions=[each for overview in shown for each in overview.counting], user=user)
    return shown


def _with_last_photo(photo: EyeImage) -> Patient:
    assert photo.patient is not None
    photo.patient.last_photo_at = photo.created_at  # type: ignore[attr-defined]  # as `patients` annotates it
    return photo.patient


def show_patient(*, patient: Patient, user: User) -> Overview:
    """The overview of one patient, of which `user` is shown the result of every photo."""
    (shown,) = overviews([patient], user)
    answering.disclose(predictions=shown.photos, user=user)
    return shown
