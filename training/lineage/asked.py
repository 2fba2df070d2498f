"""What a request about lineage names: `photo` (any number of times), `patient` or `reader`."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, QueryDict

from predictions.photos.models import EyeImage, EyeImageQuerySet
from predictions.sites.models import Patient
from review.retraction.models import Retraction
from training.lineage.selectors import Lineage, lineage_of_photos, lineage_of_reader


@dataclass(frozen=True)
class Asked:
    """What is asked about, in words, with its lineage. may_still_train: the next dataset may hold it again."""

    words: str
    lineage: Lineage
    may_still_train: bool
    photos: EyeImageQuerySet


def asked_by(query: QueryDict) -> Asked:
    """Raises Http404 for what does not exist. Tombstones of purged photos count as photos."""
    if "reader" in query:
        return _reader(str(query.get("reader")))
    if "patient" in query:
        patient = Patient.objects.filter(pk=_uuid(query.get("patient"))).first()
        if patient is None:
            raise Http404
        return _photos(f"patient {patient}", EyeImage.objects.filter(patient=patient))
    ids = {_uuid(text) for text in query.getlist("photo")}
    photos = EyeImage.objects.filter(pk__in=ids)
    if not ids or photos.count() != len(ids):
        raise Http404
    words = f"photo {str(next(iter(ids)))[:8]}" if len(ids) == 1 else f"{len(ids)} photos"
    return _photos(words, photos)


def _photos(words: str, photos: EyeImageQuerySet) -> Asked:
    return Asked(words, lineage_of_photos(photos), photos.kept().filter(may_train=True).exists(), photos)


def _reader(text: str) -> Asked:
    reader = User.objects.filter(pk=text).first() if text.isdecimal() else None
    if reader is None:
        raise Http404
    is_retracted = Retraction.objects.filter(reader=reader).exists()
    words = f"the labels of {reader.get_username()}"
    return Asked(words, lineage_of_reader(reader), not is_retracted, EyeImage.objects.none())


def _uuid(text: object) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise Http404 from None
