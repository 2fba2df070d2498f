"""Find photos by what a person types: an id, or the first characters of a patient key or of a SHA-256."""

import re
from uuid import UUID

from predictions.photos.models import EyeImage
from predictions.sites.models import Patient

MOST_PATIENTS, MOST_PHOTOS = 200, 1000
HELP = (
    "A whole id, or the first characters of a patient key or of a SHA-256. "
    f"Of patients whose keys begin like that, the first {MOST_PATIENTS} are searched."
)
_HASH = re.compile(r"[0-9a-fA-F]{8,64}")


def as_id(words: str) -> UUID | None:
    """The id that was typed, if it is one."""
    try:
        return UUID(words.strip())
    except ValueError:
        return None


def find_patients(words: str) -> list[UUID]:
    """The ids of the patients whose keys begin like this, in capital or small letters; at most MOST_PATIENTS."""
    found = Patient.objects.filter(key__istartswith=words.strip()).order_by("key")
    return list(found.values_list("pk", flat=True)[:MOST_PATIENTS])


def find_photos(words: str) -> list[UUID]:
    """The ids of the photos that fit, at most MOST_PHOTOS. Each kind of search uses an index."""
    words = words.strip()
    if (photo := as_id(words)) is not None:
        return [photo]
    of_patients = EyeImage.objects.filter(patient__in=find_patients(words))
    photos = set(of_patients.values_list("pk", flat=True)[:MOST_PHOTOS])
    if _HASH.fullmatch(words):
        same = EyeImage.objects.filter(sha256__startswith=words.lower())
        photos.update(same.values_list("pk", flat=True)[:MOST_PHOTOS])
    return list(photos)
