"""Purge deletions: files first, then rows, so that an interrupted purge is invisible and the next one ends it.

What leaves: the original, its derivatives, embeddings, visual words, files of unfinished batches, and every fact about
patient, eye and capture. What stays: the row as a tombstone, with predictions, readings and labels, so that counts and
evidence hold.
"""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.failpoints import hit
from predictions.answering.models import Prediction
from predictions.batches.models import Batch, BatchItem
from predictions.batches.uploads import discard
from predictions.consent.models import ConsentChange
from predictions.corrections.models import Correction
from predictions.embeddings.models import Embedding
from predictions.photos import storage
from predictions.photos.clusters import one_at_a_time
from predictions.photos.models import EyeImage, VisualWord, WrongPatientCheck
from predictions.retention.models import Deletion
from predictions.retention.trash import held, is_on_hold, lock, request_deletion
from predictions.sites.models import Patient, Site

log = logging.getLogger(__name__)

_NAME = "deleted photo"  # in place of the file name in a batch


def apply_retention() -> list[Deletion]:
    """Move the photos that are older than their site keeps them to the trash, except those of patients on hold."""
    deletions = []
    for site in Site.objects.filter(retention_days__isnull=False).order_by("pk"):
        oldest = timezone.now() - timedelta(days=site.retention_days or 0)
        old = EyeImage.objects.kept().filter(site=site, created_at__lt=oldest).exclude(held())
        with transaction.atomic():
            if old.exists():
                reason = f"Older than the {site.retention_days} days for which {site} keeps photos."
                deletions.append(request_deletion(Deletion.Kind.RETENTION, site, old, reason, None))
    return deletions


def sweep() -> int:
    """Purge what is due, and end purges that were interrupted; return how many deletions are purged by this."""
    due = Q(status=Deletion.Status.TRASHED, purge_after__lte=timezone.now())
    found = Deletion.objects.filter(due | Q(status=Deletion.Status.PURGING)).order_by("requested_at")
    return sum(purge(pk) for pk in list(found.values_list("pk", flat=True)))


def purge(deletion_id: UUID | str) -> bool:
    """Purge one deletion that is due or was interrupted; return whether it is purged by this call.

    Safe to call at any time, any number of times and in several processes. A legal hold keeps it in the trash.
    """
    _start(deletion_id)
    deletion = Deletion.objects.filter(pk=deletion_id, status=Deletion.Status.PURGING).first()
    if deletion is None:
        return False
    hit("purge.marked")
    for image in deletion.images.filter(status=EyeImage.Status.PURGING).order_by("pk"):
        _erase_files(image)
        hit("purge.files_erased")
        _make_tombstone(image)
        hit("purge.photo_purged")
    return _finish(deletion)


def _start(deletion_id: Any) -> None:
    """TRASHED -> PURGING, if it is due and none of its patients is on hold."""
    due = Deletion.objects.filter(pk=deletion_id, status=Deletion.Status.TRASHED, purge_after__lte=timezone.now())
    with transaction.atomic():
        patients = Patient.objects.filter(Q(images__deletions=deletion_id) | Q(deletions=deletion_id))
        ids = set(patients.values_list("pk", flat=True))
        lock(ids)
        if is_on_hold(ids):
            return
        if due.move(Deletion.Status.PURGING):
            EyeImage.objects.filter(deletions=deletion_id).move(EyeImage.Status.PURGING, removed_at=timezone.now())


def _erase_files(image: EyeImage) -> None:
    """Delete the files of a photo, unless another photo with the same content still needs them."""
    with transaction.atomic():
        one_at_a_time()  # a new photo with the same content waits, and then stores its file again
        others = EyeImage.objects.exclude(pk=image.pk).exclude(status=EyeImage.Status.PURGED)
        if not others.filter(stored_name=image.stored_name).exists():
            storage.erase(image.stored_name)
    for item in BatchItem.objects.filter(prediction__image=image).select_related("batch"):
        _erase_sent_file(item)


def _erase_sent_file(item: BatchItem) -> None:
    """Delete the file as it was sent, which an unfinished batch still holds; an archive goes as a whole."""
    if item.batch.status != Batch.Status.DONE:
        discard(item.batch_id, "" if item.batch.archive else str(item.position))


def _make_tombstone(image: EyeImage) -> None:
    """Forget everything about a photo whose files are gone, in one transaction."""
    with transaction.atomic():
        one_at_a_time()
        Embedding.objects.filter(image=image).delete()
        VisualWord.objects.filter(image=image).delete()
        BatchItem.objects.filter(prediction__image=image).update(**_FORGOTTEN_ITEM)
        ConsentChange.objects.filter(image=image).update(patient=None)
        EyeImage.objects.filter(near_duplicate_of=image).update(near_duplicate_of=None)
        EyeImage.objects.filter(retake_of=image).update(retake_of=None)
        Correction.objects.filter(image=image).delete()  # they name patients
        WrongPatientCheck.objects.filter(Q(image=image) | Q(twin=image)).delete()
        Prediction.objects.filter(image=image).move(
            Prediction.Status.FAILED, lease_until=None, error="The photo was deleted before it was answered."
        )
        hit("purge.in_transaction")
        EyeImage.objects.filter(pk=image.pk).move(EyeImage.Status.PURGED, removed_at=timezone.now(), **_FORGOTTEN_PHOTO)


_FORGOTTEN_ITEM: dict[str, Any] = {
    "name": _NAME,
    "patient_key": "",
    "eye": "",
    "site": "",
    "device": "",
    "captured_at": None,
    "message": "",
}
_FORGOTTEN_PHOTO: dict[str, Any] = {
    "stored_name": "",
    "original_name": "",
    "perceptual_hash": "",
    "colour_profile": "",
    "patient": None,
    "eye": "",
    "device": None,
    "captured_at": None,
    "capture": {},
    "quality": {},
    "near_duplicate_of": None,
    "retake_of": None,
    "may_train": False,
}


def _finish(deletion: Deletion) -> bool:
    """PURGING -> PURGED. A deleted patient without photos loses the pseudonym; the same one is then a new patient."""
    with transaction.atomic():
        if deletion.images.filter(status=EyeImage.Status.PURGING).exists():
            return False
        if not Deletion.objects.filter(pk=deletion.pk).move(Deletion.Status.PURGED, ended_at=timezone.now()):
            return False
        record(Act.DELETION_MOVED, about=deletion, to=str(Deletion.Status.PURGED), photos=deletion.images.count())
        patient = deletion.patient
        if patient is not None and not patient.images.exists():
            _forget_patient(patient)
    log.info("Deletion %s is purged", deletion.pk)
    return True


def _forget_patient(patient: Patient) -> None:
    own_sites = Q(site=patient.site.name) | Q(site="", batch__requested_by__in=patient.site.users.all())
    refused = BatchItem.objects.filter(own_sites, patient_key=patient.key, prediction__isnull=True)
    BatchItem.objects.filter(pk__in=list(refused.values_list("pk", flat=True))).update(patient_key="", name=_NAME)
    Patient.objects.filter(pk=patient.pk).update(key=f"deleted-{patient.pk.hex}")
