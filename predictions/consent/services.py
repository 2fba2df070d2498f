"""Give and withdraw the consent to train with photos; every change is recorded.

A withdrawal takes effect at once: every dataset, distillation, label check and training run reads `may_train` when it
starts. `training.forgetting` deletes what earlier runs cached of the photo, and `training.lineage` lists what learned.
"""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import DomainError
from cataract.core.querysets import in_batches
from predictions.consent.models import ConsentChange
from predictions.photos.clusters import one_at_a_time
from predictions.photos.models import EyeImage
from predictions.sites.models import Patient

KEPT = ("image_id", "before", "after", "reason", "by_id", "at")
_AT_ONCE = 200


class PatientWithdrew(DomainError):
    """One photo cannot be given back to training while the consent of its whole patient is withdrawn."""

    code, status, field = "patient_withdrew", 409, "may_train"

    def __init__(self) -> None:
        super().__init__("This patient's consent is withdrawn. Change it for the patient, not for one photo.")


def change_consent(*, photos: QuerySet[EyeImage], may_train: bool, reason: str, user: User) -> int:
    """Set the consent of these photos and record each change; return how many changed.

    Raises PatientWithdrew when consent is given for a photo of a patient who withdrew it.
    """
    with transaction.atomic():
        one_at_a_time()
        if may_train and photos.filter(patient__consent_withdrawn_at__isnull=False).exists():
            raise PatientWithdrew
        return _change(photos, may_train, reason, user, None)


def change_consent_of_patient(*, patient: Patient, may_train: bool, reason: str, user: User) -> int:
    """Set the consent of a patient: of every stored photo, and of photos yet to come. Return how many photos changed.

    Once it is withdrawn, a new photo of this patient starts without consent, whatever its sender states.
    """
    with transaction.atomic():
        one_at_a_time()
        changed = Patient.objects.filter(pk=patient.pk, consent_withdrawn_at__isnull=not may_train).update(
            consent_withdrawn_at=None if may_train else timezone.now()
        )
        if changed:
            change = ConsentChange.objects.create(
                patient=patient, before=not may_train, after=may_train, reason=reason, by=user
            )
            record(Act.CONSENT_CHANGED, about=patient, user=user, rows=[change], columns=KEPT, may_train=may_train)
        return _change(EyeImage.objects.filter(patient=patient), may_train, reason, user, patient)


def history_of(*, photos: QuerySet[EyeImage], patient: Patient | None) -> QuerySet[ConsentChange]:
    """The changes of these photos and of the patient, newest first."""
    of_patient = Q(patient=patient, image__isnull=True) if patient is not None else Q(pk__in=[])
    return ConsentChange.objects.filter(Q(image__in=photos) | of_patient).select_related("by", "image")


def _change(photos: QuerySet[EyeImage], may_train: bool, reason: str, user: User, patient: Patient | None) -> int:
    differing = photos.exclude(status=EyeImage.Status.PURGED).filter(may_train=not may_train)
    ids = list(differing.values_list("pk", flat=True))
    EyeImage.objects.filter(pk__in=ids).update(may_train=may_train)
    for some in in_batches(ids, _AT_ONCE):
        changes = ConsentChange.objects.bulk_create(
            ConsentChange(image_id=pk, patient=patient, before=not may_train, after=may_train, reason=reason, by=user)
            for pk in some
        )
        photos_of = [str(pk) for pk in some]
        record(Act.CONSENT_CHANGED, user=user, rows=changes, columns=KEPT, may_train=may_train, photos=photos_of)
    return len(ids)
