"""Move photos to the trash: what the services that people use and the nightly retention share."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import DomainError, WrongStatus
from predictions.photos.models import EyeImage
from predictions.retention.models import Deletion, LegalHold
from predictions.sites.models import Patient, Site


class OnHold(DomainError):
    """A legal hold forbids every deletion of this patient."""

    code, status = "on_hold", 409

    def __init__(self) -> None:
        super().__init__("A legal hold forbids this deletion. An administrator must lift it first.")


class NothingToDelete(DomainError):
    code, status = "nothing_to_delete", 409

    def __init__(self) -> None:
        super().__init__("There is no photo to delete: it is deleted already, or its deletion waits for confirmation.")


def request_deletion(
    kind: Deletion.Kind,
    site: Site,
    photos: QuerySet[EyeImage],
    reason: str,
    user: User | None,
    patient: Patient | None = None,
) -> Deletion:
    chosen = list(photos)
    if not chosen and patient is None:
        raise NothingToDelete
    deletion = Deletion.objects.create(kind=kind, site=site, patient=patient, reason=reason, requested_by=user)
    deletion.images.set(chosen)
    kept = ("kind", "site_id", "patient_id", "reason", "requested_at")
    record(Act.DELETION_ASKED, about=deletion, user=user, columns=kept, photos=len(chosen))
    if is_on_hold(patients_of(deletion)):
        raise OnHold
    if kind == Deletion.Kind.RETENTION or not site.deletion_needs_two:
        trash(deletion)
    return deletion


def trash(deletion: Deletion, *, confirmed_by: User | None = None) -> None:
    """Move the photos of a requested deletion to the trash, in the caller's transaction. Raises OnHold, WrongStatus."""
    lock(patients_of(deletion))
    if is_on_hold(patients_of(deletion)):
        raise OnHold
    now = timezone.now()
    if not Deletion.objects.filter(pk=deletion.pk).move(
        Deletion.Status.TRASHED,
        trashed_at=now,
        purge_after=now + timedelta(days=settings.TRASH_DAYS),
        confirmed_by=confirmed_by,
    ):
        raise wrong(deletion)
    if deletion.patient_id is not None:  # photos that came while it waited for the second person
        deletion.images.set(EyeImage.objects.kept().filter(patient=deletion.patient_id))
    lost = deletion.images.exclude(status=EyeImage.Status.KEPT)  # another deletion was first
    deletion.images.remove(*lost)
    EyeImage.objects.filter(deletions=deletion).move(EyeImage.Status.TRASHED, removed_at=now)
    deletion.refresh_from_db()
    record(Act.DELETION_MOVED, about=deletion, user=confirmed_by or deletion.requested_by, to=str(deletion.status))


def lock(patients: Iterable[Any]) -> None:
    """Lock these patients until the transaction ends: a hold and a purge must see each other."""
    for pk in sorted(patients, key=str):
        Patient.objects.filter(pk=pk).update(key=F("key"))


def deletable(photos: QuerySet[EyeImage]) -> QuerySet[EyeImage]:
    """The kept photos whose deletion nobody has asked for yet."""
    waiting = EyeImage.objects.filter(deletions__status=Deletion.Status.REQUESTED)
    return photos.filter(status=EyeImage.Status.KEPT).exclude(pk__in=waiting.values("pk"))


def patients_of(deletion: Deletion) -> set[Any]:
    found = set(deletion.images.exclude(patient=None).values_list("patient_id", flat=True))
    return found if deletion.patient_id is None else {*found, deletion.patient_id}


def is_on_hold(patients: Iterable[Any]) -> bool:
    return LegalHold.objects.standing().filter(patient__in=list(patients)).exists()


def held() -> Exists:
    return Exists(LegalHold.objects.standing().filter(patient=OuterRef("patient_id")))


def wrong(deletion: Deletion) -> WrongStatus:
    deletion.refresh_from_db()
    return WrongStatus(f"This deletion is no longer open to that: {deletion.get_status_display()}.")
