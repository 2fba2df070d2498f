"""Accept, cancel and resume batches, and take refused files again."""

import contextlib
import hashlib
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core import idempotency
from cataract.core.broker.nudge import nudge
from cataract.core.csv_tables import TableRefused
from cataract.core.errors import BadField, StorageFull, WrongStatus
from cataract.core.files import sync_folder
from cataract.core.models import IdempotentRequest
from predictions.answering.models import Prediction
from predictions.batches import archives, tasks
from predictions.batches.archives import Entry
from predictions.batches.models import Batch, BatchItem
from predictions.batches.naming import Names, plain_name, spellings
from predictions.batches.tables import NO_TABLE, Table, read_table
from predictions.batches.uploads import SpooledFile, discard, folder_of, send, sent_again
from predictions.photos.facts import NOTHING_STATED, PhotoFacts
from predictions.photos.names import printable
from predictions.sites.services import find_site

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
    name: str = "",
    mode: str = Prediction.Mode.CASCADE,
    key: str = "",
) -> tuple[Batch, bool]:
    """Keep the received files; a worker stores and answers them. Return (batch, whether it is a replay of `key`).

    Send photos or one archive, which may contain the table. No photo is unpacked or decoded here. name: a label; else
    the archive's. Raises BadField (also for an unknown site), ArchiveRefused, TableRefused, IdempotencyKeyReused;
    nothing is kept then.
    """
    if bool(photos) == (archive is not None):
        raise BadField("photos", "Send photos or one archive.", code="file_required", status=400)
    entries, table = _contents(photos, archive, table)
    names, facts = (table or NO_TABLE).match(spellings([entry.name for entry in entries]), default)
    for site in {stated.site for stated in facts}:
        find_site(user=user, name=site)
    claim = _claim(user, key, photos, archive, [names, asdict(default), name, mode, table and str(table.rows)])
    if claim is not None and (earlier := idempotency.made_before(claim)):
        return earlier, True
    batch = Batch(
        name=name or (_name(archive) if archive else ""),
        archive=archive is not None,
        mode=mode,
        source=source,
        requested_by=user,
        total=len(entries),
    )
    items = [
        BatchItem(
            batch=batch,
            position=entry.index,
            name=_label(name),
            **{fact: getattr(stated, fact) for fact in BatchItem.FACTS},
        )
        for entry, name, stated in zip(entries, names, facts, strict=True)
    ]
    sent = [archive] if archive else photos
    _flush(sent)
    _keep(batch.pk, {str(place): file for place, file in enumerate(sent)})
    try:
        _write_rows(batch, items, claim)
    except BaseException as error:
        with contextlib.suppress(StorageFull):
            discard(batch.pk)
        if isinstance(error, IntegrityError) and claim is not None and (earlier := idempotency.made_before(claim)):
            return earlier, True  # the same request, sent twice at once
        raise
    nudge(tasks.run_batch, batch.pk)
    return batch, False


def _contents(
    photos: Sequence[SpooledFile], archive: SpooledFile | None, table: Table | None
) -> tuple[list[Entry], Table | None]:
    """The files, each with its place in the form or in the archive's directory, and the table, wherever it was sent."""
    if archive is None:
        return [Entry(place, photo.name or "") for place, photo in enumerate(photos)], table
    entries, inside = archives.list_entries(archive)
    if inside is not None and table is not None:
        raise TableRefused("The archive contains a table too. Send one table.")
    return entries, table if inside is None else read_table(inside)


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
    cancelled = Batch.objects.filter(pk=batch.pk).in_status(Batch.Status.CANCELLED)
    moved = cancelled.move(Batch.Status.RUNNING, lease_until=None)
    if moved:
        nudge(tasks.run_batch, batch.pk)
    return bool(moved)


def retry_refused(*, batch: Batch, photos: Sequence[SpooledFile]) -> int:
    """Send refused files of a finished batch again, each photo under the name of one; return how many.

    What was stated about a file stays; a worker stores and answers it. Raises BadField for a photo that fits no refused
    file of its own, and WrongStatus when the batch is not done; nothing changes then.
    """
    positions = _positions_refused(batch, photos)
    _flush(photos)
    with transaction.atomic():
        if (
            not Batch.objects.filter(pk=batch.pk)
            .in_status(Batch.Status.DONE)
            .move(Batch.Status.RUNNING, done_at=None, lease_until=None)
        ):
            raise WrongStatus("The batch is not done. Wait until it is, then send the refused photos again.")
        _keep(batch.pk, {sent_again(place): photo for place, photo in zip(positions, photos, strict=True)})
        batch.items.filter(position__in=positions).move(
            BatchItem.Status.WAITING, attempts=0, code="", message="", earlier=None
        )
    nudge(tasks.run_batch, batch.pk)
    return len(positions)


def _positions_refused(batch: Batch, photos: Sequence[SpooledFile]) -> list[int]:
    """The position of the refused file that each photo has the name of."""
    if not photos:
        raise BadField("photos", "Choose the photos to send again.", code="file_required", status=400)
    refused = list(batch.items.in_status(BatchItem.Status.REFUSED).order_by("position"))
    names = Names([item.name for item in refused])
    found: list[int] = []
    for photo in photos:
        name = _label(photo.name or "")
        places = names.places(name)
        if not places:
            raise BadField("photos", f"{name}: no refused file of this batch has this name.")
        if len(places) > 1:
            several = ", ".join(refused[place].name for place in places[:5])
            raise BadField("photos", f"{name} fits {len(places)} refused files: {several}. Send it in a new batch.")
        found.append(refused[places[0]].position)
        if found.count(found[-1]) > 1:
            raise BadField("photos", f"{name}: sent twice. Send one photo for each refused file.")
    return found


def _flush(files: Sequence[SpooledFile]) -> None:
    for file in files:
        file.flush_to_disk()


def _keep(batch_id: uuid.UUID, files: Mapping[str, SpooledFile]) -> None:
    """Move flushed files to the folder of the batch under these names, durably, before any row says so."""
    folder = folder_of(batch_id)
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    for name, file in files.items():
        file.path.rename(folder / name)
    sync_folder(folder)
    sync_folder(folder.parent)
    try:
        for name in files:
            send(batch_id, name)
    except StorageFull:
        for name in files:
            with contextlib.suppress(StorageFull):
                discard(batch_id, name)
        raise


def _name(file: SpooledFile) -> str:
    return _label(file.name or "")[:100]


def _label(name: str) -> str:
    """A path as a label: printable, and no longer than its column."""
    return printable(plain_name(name))[-255:] or "unnamed"


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
