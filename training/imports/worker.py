"""Check and store the photos of imports: one step each time, under a lease, and safe to repeat.

A step that was interrupted begins again: a photo that is stored already is only counted.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from cataract.core.errors import DomainError
from training.datasets.imports import ImportReport, import_folder, plan_folder
from training.imports import archive
from training.imports.models import PhotoImport, PhotoImportQuerySet
from training.imports.reports import as_json

MAX_ATTEMPTS = 4  # the dry run, the import, and two more for a lost worker
_LEASE = timedelta(minutes=10)  # comparing thousands of pictures with each other reports nothing meanwhile
_EVERY_SECONDS = 2.0
_log = logging.getLogger(__name__)


class _Lost(Exception):
    """The import was discarded, or another worker has it: write nothing more."""


def run_import(import_id: str) -> None:
    """Do the step that an import waits for, and keep its report. Safe to deliver twice."""
    row = PhotoImport.objects.select_related("site", "requested_by").filter(pk=import_id).first()
    token = None if row is None or row.attempts >= MAX_ATTEMPTS else PhotoImport.objects.claim(row, _LEASE)
    if row is None or token is None:
        return
    held = PhotoImport.objects.held(row, token)
    try:
        report = _do(row, _Progress(held))
    except _Lost:
        _log.info("Import %s: attempt %d stops", import_id, token)
        return
    except DomainError as error:
        _end(row, held, PhotoImport.Status.FAILED, error=str(error))
        return
    except OSError as error:
        _log.exception("Import %s failed", import_id)
        _end(row, held, PhotoImport.Status.FAILED, error=f"{error.strerror or 'A file cannot be written'}.")
        return
    if row.step == PhotoImport.Step.CHECK:
        held.move(PhotoImport.Status.CHECKED, plan=as_json(report), lease_until=None, stage="")
    else:
        _end(row, held, PhotoImport.Status.DONE, report=as_json(report))


def sweep(*, publish: Callable[[str], Any]) -> None:
    """Publish imports that no worker holds, and fail those that have lost their worker too often."""
    free = PhotoImport.objects.free()
    for row in free.filter(attempts__gte=MAX_ATTEMPTS):
        held = PhotoImport.objects.held(row, row.attempts)
        _end(
            row, held, PhotoImport.Status.FAILED, error="Its worker was lost several times. Send the archive in parts."
        )
    for pk in free.filter(attempts__lt=MAX_ATTEMPTS).values_list("pk", flat=True):
        publish(str(pk))


def _do(row: PhotoImport, progress: "_Progress") -> ImportReport:
    root = archive.unpack(row.pk)
    options: dict[str, Any] = {"labelled": row.labelled, "split_from_folders": row.split_from_folders}
    if row.step == PhotoImport.Step.CHECK:
        return plan_folder(root, on_progress=progress, **options)
    site = row.site.name if row.site else ""
    return import_folder(root, site=site, user=row.requested_by, on_progress=progress, **options)


def _end(row: PhotoImport, held: PhotoImportQuerySet, status: str, **values: Any) -> None:
    if held.move(status, finished_at=timezone.now(), lease_until=None, stage="", **values):
        archive.delete(row.pk)


class _Progress:
    """Writes how far an import is, every two seconds. Raises _Lost when the claim is."""

    def __init__(self, held: PhotoImportQuerySet) -> None:
        self._held, self._next = held, 0.0

    def __call__(self, done: int, total: int, what: str) -> None:
        if done < total and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_SECONDS
        if not self._held.renew(_LEASE, files_done=done, files=total, stage=what):
            raise _Lost
