"""Delete photos and patients, restore them from the trash, and keep patients on hold."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.errors import DomainError, WrongStatus
from predictions.photos.models import EyeImage
from predictions.retention import tasks
from predictions.retention.models import Deletion, LegalHold
from predictions.retention.trash import (
    NothingToDelete,
    OnHold,
    deletable,
    is_on_hold,
    lock,
    patients_of,
    request_deletion,
    trash,
    wrong,
)
from predictions.sites.models import Patient, Site

KEPT_HOLD = ("patient_id", "reason", "placed_by_id", "placed_at")


class SamePerson(DomainError):
    code, status = "same_person", 409

    def __init__(self) -> None:
        super().__init__("Another person than the one who asked for it must confirm this deletion.")


def delete_photos(*, photos: QuerySet[EyeImage], reason: str, user: User | None) -> list[Deletion]:
    """Move these photos to the trash, or ask a second person where their site wants one; one Deletion per site.

    Raises OnHold, NothingToDelete.
    """
    with transaction.atomic():
        sites = Site.objects.filter(images__in=deletable(photos)).distinct().order_by("pk")
        deletions = [
            request_deletion(Deletion.Kind.PHOTOS, site, deletable(photos).filter(site=site), reason, user)
            for site in sites
        ]
        if not deletions:
            raise NothingToDelete
    return deletions


def delete_patient(*, patient: Patient, reason: str, user: User | None) -> Deletion:
    """Move all photos of a patient to the trash, or ask a second person; with the purge its pseudonym goes too.

    Raises OnHold, NothingToDelete.
    """
    with transaction.atomic():
        waiting = Deletion.objects.in_status(Deletion.Status.REQUESTED, Deletion.Status.TRASHED)
        if waiting.filter(patient=patient).exists():
            raise NothingToDelete
        photos = EyeImage.objects.filter(patient=patient)
        return request_deletion(Deletion.Kind.PATIENT, patient.site, deletable(photos), reason, user, patient=patient)


def confirm_deletion(*, deletion: Deletion, user: User) -> Deletion:
    """Move the photos of a requested deletion to the trash. Raises SamePerson, OnHold, WrongStatus."""
    if deletion.requested_by_id == user.pk:
        raise SamePerson
    with transaction.atomic():
        trash(deletion, confirmed_by=user)
    return deletion


def cancel_deletion(*, deletion: Deletion, user: User) -> Deletion:
    """Withdraw a request that nobody has confirmed. Raises WrongStatus."""
    _end(deletion, Deletion.Status.CANCELLED, user)
    return deletion


def restore_deletion(*, deletion: Deletion, user: User) -> Deletion:
    """Take the photos of a deletion out of the trash: they are as they were. Raises WrongStatus."""
    with transaction.atomic():
        _end(deletion, Deletion.Status.RESTORED, user)
        EyeImage.objects.filter(deletions=deletion).move(EyeImage.Status.KEPT, removed_at=None)
    return deletion


def purge_now(*, deletion: Deletion, user: User | None) -> Deletion:
    """Purge a trashed deletion without waiting for its date; a worker starts within seconds.

    Raises OnHold, WrongStatus.
    """
    if is_on_hold(patients_of(deletion)):
        raise OnHold
    trashed = Deletion.objects.filter(pk=deletion.pk).in_status(Deletion.Status.TRASHED)
    with transaction.atomic():
        if not trashed.update(purge_after=timezone.now(), ended_by=user):
            raise wrong(deletion)
        record(Act.DELETION_MOVED, about=deletion, user=user, to="purge now")
    nudge(tasks.purge, deletion.pk)
    deletion.refresh_from_db()
    return deletion


def place_hold(*, patient: Patient, reason: str, user: User) -> LegalHold:
    """Forbid every deletion of this patient; a second hold changes nothing.

    Photos in the trash stay there, can be restored, and are not purged.
    """
    with transaction.atomic():
        lock([patient.pk])
        try:
            with transaction.atomic():
                hold = LegalHold.objects.create(patient=patient, reason=reason, placed_by=user)
                record(Act.HOLD_CHANGED, about=hold, user=user, columns=KEPT_HOLD, how="placed")
                return hold
        except IntegrityError:
            return LegalHold.objects.standing().get(patient=patient)


def lift_hold(*, hold: LegalHold, reason: str, user: User) -> LegalHold:
    """Allow deletions of this patient again. Raises WrongStatus when it is lifted already."""
    standing = LegalHold.objects.standing().filter(pk=hold.pk)
    with transaction.atomic():
        if not standing.update(lifted_at=timezone.now(), lifted_by=user, lift_reason=reason):
            raise WrongStatus("This hold is lifted already.")
        record(Act.HOLD_CHANGED, about=hold, user=user, how="lifted")
    hold.refresh_from_db()
    return hold


def _end(deletion: Deletion, status: Deletion.Status, user: User) -> None:
    with transaction.atomic():
        if not Deletion.objects.filter(pk=deletion.pk).move(status, ended_at=timezone.now(), ended_by=user):
            raise wrong(deletion)
        record(Act.DELETION_MOVED, about=deletion, user=user, to=str(status))
    deletion.refresh_from_db()
