"""Start an import of labelled photos, agree to it after the dry run, and discard it."""

import uuid

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.errors import WrongStatus
from predictions.batches import archives
from predictions.batches.uploads import SpooledFile
from predictions.photos.names import printable
from predictions.sites.models import Site
from training.imports import archive, tasks
from training.imports.models import PhotoImport


def start_import(
    *, user: User, sent: SpooledFile, site: Site | None, labelled: bool, split_from_folders: bool
) -> PhotoImport:
    """Keep the archive; a worker checks it and stores nothing yet. Raises ArchiveRefused, StorageFull."""
    archives.list_entries(sent)
    key = uuid.uuid4()
    archive.keep(key, sent)
    try:
        with transaction.atomic():
            made = PhotoImport.objects.create(
                pk=key,
                name=printable(sent.name or "")[-100:] or "archive",
                site=site,
                labelled=labelled,
                split_from_folders=split_from_folders,
                requested_by=user,
            )
            record(Act.ADMIN_CHANGED, about=made, user=user, what="sent photos to import")
    except BaseException:
        archive.delete(key)
        raise
    nudge(tasks.run_import, made.pk)
    return made


def confirm_import(*, user: User, photo_import: PhotoImport) -> None:
    """Import what the dry run has shown; a worker does it. Raises WrongStatus."""
    rows = PhotoImport.objects.filter(pk=photo_import.pk)
    with transaction.atomic():
        values = {"step": PhotoImport.Step.STORE, "lease_until": None, "files_done": 0}
        if not rows.move(PhotoImport.Status.WAITING, **values):
            raise WrongStatus("This import is not waiting for a decision.")
        record(
            Act.ADMIN_CHANGED, about=photo_import, user=user, what="imported photos", stored=photo_import.plan["stored"]
        )
    nudge(tasks.run_import, photo_import.pk)


def discard_import(*, user: User, photo_import: PhotoImport) -> None:
    """Stop an import; photos that it has stored already stay. Raises WrongStatus."""
    rows = PhotoImport.objects.filter(pk=photo_import.pk)
    with transaction.atomic():
        if not rows.move(PhotoImport.Status.CANCELLED, finished_at=timezone.now(), lease_until=None):
            raise WrongStatus("This import has ended already.")
        record(Act.ADMIN_CHANGED, about=photo_import, user=user, what="discarded an import")
    archive.delete(photo_import.pk)
