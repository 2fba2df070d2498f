"""Accept, cancel and resume batches."""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core import idempotency
from cataract.core.broker.nudge import nudge
from cataract.core.errors import BadField
from cataract.core.files import sync_folder
from cataract.core.models import IdempotentRequest
from predictions.answering.models import Prediction
from predictions.batches import archives, tasks
from predictions.batches.models import Batch, BatchItem
from predictions.batches.tables import Table
from predictions.batches.uploads import SpooledFile
from predictions.photos.facts import NOTHING_STATED, PhotoFacts
from predictions.photos.names import printable

log = logging.getLogger(__name__)

ENDPOINT = "POST /api/v1/batches"
_INSERT = 500


def accept_batch(
    *,
    user: User,
    source: str,
    photos: Sequence[SpooledFile] = (),
    archive: SpooledFile | None = None,
    table: Table | None = None,
    default: PhotoFacts = NOTHING_STATED,
    mode: str = Prediction.Mode.CASCADE,
    key: str = "",
) -> tuple[Batch, bool]:
    """Keep the received files; a worker stores and answers them. Return (batch, whether it is a replay of `key`).

    Send photos or one archive. Nothing is unpacked or decoded here. Raises BadField, ArchiveRefused, TableRefused,
    IdempotencyKeyReused; nothing is kept then.
    """
    if bool(photos) == (archive is not None):
        raise BadField("photos", "Send photos or one archive.", code="file_required", status=400)
    entries = _entries(photos, archive)
    names = [name for _, name in entries]
    if table is not None:
        table.check_names(names)
    claim = _claim(user, key, photos, archive, [names, asdict(default), mode, table and str(table.rows)])
    if claim is not None and (earlier := idempotency.made_before(claim)):
        return earlier, True
    batch = Batch(
        name=_name(archive) if archive else "",
        archive=archive is not None,
        mode=mode,
        source=source,
        requested_by=user,
        total=len(entries),
    )
    items = [
        BatchItem(
            batch=batch,
            position=position,
            name=_label(name),
            **asdict(table.facts_of(name, default) if table else default),
        )
        for position, name in entries
    ]
    _keep(batch.pk, [archive] if archive else photos)
    try:
        _write_rows(batch, items, claim)
    except BaseException as error:
        shutil.rmtree(settings.BATCH_DIR / str(batch.pk), ignore_errors=True)
        if isinstance(error, IntegrityError) and claim is not None and (earlier := idempotency.made_before(claim)):
            return earlier, True  # the same request, sent twice at once
        raise
    nudge(tasks.run_batch, batch.pk)
    return batch, False


def _entries(photos: Sequence[SpooledFile], archive: SpooledFile | None) -> list[tuple[int, str]]:
    """(position, name) of each file: its index in the archive's directory, or its place in the form."""
    if archive is not None:
        return [(entry.index, entry.name) for entry in archives.list_entries(archive)]
    return [(position, _name(photo)) for position, photo in enumerate(photos)]


def _write_rows(batch: Batch, items: Sequence[BatchItem], claim: IdempotentRequest | None) -> None:
    with transaction.atomic():
        batch.save(force_insert=True)
        BatchItem.objects.bulk_create(items, batch_size=_INSERT)
        if claim is not None:
            idempotency.keep_claim(claim, batch)


def cancel_batch(*, batch: Batch) -> bool:
    """Stop after the current file; stored photos stay. Return whether the batch was running."""
    return bool(Batch.objects.filter(pk=batch.pk).move(Batch.Status.CANCELLED))


def resume_batch(*, batch: Batch) -> bool:
    """Resume a cancelled batch; return whether it was cancelled."""
    moved = Batch.objects.filter(pk=batch.pk).move(Batch.Status.RUNNING, lease_until=None)
    if moved:
        nudge(tasks.run_batch, batch.pk)
    return bool(moved)


def _keep(batch_id: uuid.UUID, files: Sequence[SpooledFile]) -> None:
    """Move the received files to the folder of the batch, durably, before any row names it."""
    folder = settings.BATCH_DIR / str(batch_id)
    folder.mkdir(parents=True, mode=0o700)
    for position, file in enumerate(files):
        file.file.flush()  # type: ignore[union-attr]
        os.fsync(file.file.fileno())  # type: ignore[union-attr]
        file.path.rename(folder / str(position))
    sync_folder(folder)
    sync_folder(folder.parent)


def _name(file: SpooledFile) -> str:
    return _label(file.name or "")[:100]


def _label(name: str) -> str:
    """A path as a label: printable, and no longer than its column."""
    return printable(name)[-255:] or "unnamed"


def _claim(
    user: User, key: str, photos: Sequence[SpooledFile], archive: SpooledFile | None, rest: list[Any]
) -> IdempotentRequest | None:
    if not key:
        return None  # do not read large files in vain
    digest = hashlib.sha256(json.dumps(rest, default=str).encode())
    for file in (archive,) if archive else photos:
        file.seek(0)
        digest.update(hashlib.file_digest(file.file, "sha256").digest())  # type: ignore[arg-type]
    return idempotency.claim_key(user=user, endpoint=ENDPOINT, key=key, body_sha256=digest.hexdigest())
