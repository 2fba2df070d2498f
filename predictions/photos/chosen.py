"""The photos that the address of a page names: `?photo=<id>` any number of times, or `?patient=<id>` for all of one."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, QueryDict

from predictions.photos.models import EyeImage, EyeImageQuerySet
from predictions.sites.models import Patient

MOST = 100  # an address holds no more


@dataclass(frozen=True)
class Chosen:
    """photos: kept ones that the user may decide about. patient: of all of them, if they share one."""

    photos: EyeImageQuerySet
    patient: Patient | None
    is_whole_patient: bool

    def one(self) -> EyeImage | None:
        """The only photo, if it is one."""
        found = list(self.photos.select_related("patient", "site")[:2])
        return found[0] if len(found) == 1 and not self.is_whole_patient else None


def chosen_by(query: QueryDict, user: User) -> Chosen:
    """What the address names. Raises Http404 when that is nothing, or anything about which `user` may not decide."""
    photos: EyeImageQuerySet = EyeImage.objects.kept().decided_by(user)
    if "patient" in query:
        patient = Patient.objects.decided_by(user).filter(pk=_uuid(query.get("patient"))).first()
        if patient is None:
            raise Http404
        return Chosen(EyeImage.objects.kept().filter(patient=patient), patient, True)
    ids = {_uuid(text) for text in query.getlist("photo")}
    found = photos.filter(pk__in=ids)
    if not 1 <= len(ids) <= MOST or found.count() != len(ids):
        raise Http404
    patients: list[Any] = list(Patient.objects.filter(images__in=found).distinct()[:2])
    return Chosen(found, patients[0] if len(patients) == 1 else None, False)


def _uuid(text: object) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        raise Http404 from None
