"""Work through a batch file by file, in short turns; each file is stored exactly once.

The worker of a batch holds its lease and a fencing token (`attempts`). The outcome of a file is written in the
transaction that stores its photo, so a worker that was killed or woke up late repeats and loses nothing.
"""

import contextlib
import functools
import logging
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from cataract.core.errors import DomainError, QueueFull, StorageFull
from cataract.ml.photos.refusals import PhotoRefused, RefusalCode
from predictions.answering import inference, services
from predictions.answering.errors import DuplicatePhoto
from predictions.answering.models import Prediction
from predictions.batches import archives
from predictions.batches.models import Batch, BatchItem, BatchItemQuerySet, BatchQuerySet
from predictions.batches.uploads import discard, fetch, folder_of, sent_again
from predictions.photos.refusals import BadPhoto

log = logging.getLogger(__name__)

CHUNK_SECONDS = 20.0  # then other tasks have their turn
_ITEM_ATTEMPTS = 3
_LEASE = timedelta(seconds=90)  # longer than any one file takes
_PAUSE_FULL = timedelta(seconds=30)
_RUBBISH_SECONDS = 24 * 3600

Read = Callable[[BatchItem], bytes]


class _Lost(Exception):
    """The batch was cancelled, or another worker has it: write nothing more."""


def run_batch(batch_id: UUID | str, *, seconds: float = CHUNK_SECONDS) -> bool:
    """Work on a batch for some seconds; return whether this call worked on it and files are left.

    Safe to call at any time and any number of times. Memory holds one file at a time.
    """
    batch = Batch.objects.select_related("requested_by").filter(pk=batch_id).first()
    attempt = None if batch is None else Batch.objects.claim(batch, _LEASE)
    if batch is None or attempt is None:
        return False
    held = Batch.objects.held(batch, attempt)
    deadline = time.monotonic() + seconds
    try:
        with _source(batch) as read:
            for item in batch.items.in_status(BatchItem.Status.WAITING).order_by("position").iterator(chunk_size=100):
                if time.monotonic() > deadline:
                    held.give_back()
                    return True
                if not held.renew(_LEASE):
                    raise _Lost
                _take(batch, item, attempt, read)
    except _Lost:
        log.info("Batch %s: attempt %d stops", batch_id, attempt)
        return False
    except (QueueFull, StorageFull) as error:
        log.warning("Batch %s pauses: %s", batch_id, error)
        held.give_back(after=_PAUSE_FULL)
        return False
    return _finish(batch, held)


def sweep() -> None:
    """Resume batches without a worker, and delete leftovers of finished ones."""
    for batch_id in list(Batch.objects.free().order_by("created_at").values_list("pk", flat=True)[:10]):
        run_batch(batch_id, seconds=4.0)
    _delete_rubbish()


def _finish(batch: Batch, held: BatchQuerySet) -> bool:
    """The batch is DONE when no file waits; files whose attempt failed are tried again."""
    if batch.items.in_status(BatchItem.Status.WAITING).exists():
        held.give_back()
        return True
    discard(batch.pk)  # first: a batch that is DONE may be sent files again
    held.move(Batch.Status.DONE, done_at=Now(), lease_until=None)
    return False


def _take(batch: Batch, item: BatchItem, attempt: int, read: Read) -> None:
    """Store and answer one file, or record why it is refused. Raises _Lost, QueueFull and StorageFull."""
    still = BatchItem.objects.filter(pk=item.pk, batch__attempts=attempt, batch__status=Batch.Status.RUNNING)

    def keep_outcome(prediction: Prediction) -> None:
        if not still.move(BatchItem.Status.STORED, prediction=prediction):
            raise _Lost

    if item.attempts >= _ITEM_ATTEMPTS:
        _refuse(still, "failed", "The program failed on this file several times. Send it on its own.")
        return
    try:
        received = services.receive_photo(
            data=read(item),
            user=batch.requested_by,
            source=batch.source,
            facts=item.facts,
            name=item.name,
            mode=batch.mode,
            also=keep_outcome,
        )
    except (QueueFull, StorageFull, _Lost):
        raise
    except DuplicatePhoto as error:
        _refuse_or_link(still, error)
    except DomainError as error:
        _refuse(still, error.code, error.message)
    except archives.EntryCorrupt as error:
        _refuse(still, "entry_corrupt", str(error))
    except FileNotFoundError:
        _refuse(still, "file_missing", "The file is no longer here. Send it again.")
    except Exception:
        log.exception("Batch %s: file %d failed", batch.pk, item.position)
        still.update(attempts=F("attempts") + 1)
    else:
        # If this fails, the row waits and the sweeper answers it.
        inference.answer_now(received.prediction, received.photo.pixels, received.timings, received.known)


def _refuse_or_link(still: BatchItemQuerySet, error: DuplicatePhoto) -> None:
    """A photo that was already sent for this eye is known; for another patient or eye it is refused, with a link."""
    if error.code == "duplicate":
        still.move(BatchItem.Status.KNOWN, prediction=error.prediction, code=error.code, message=error.message)
    else:
        _refuse(still, error.code, error.message, earlier=error.prediction if error.existing else None)


def _refuse(still: BatchItemQuerySet, code: str, message: str, *, earlier: Prediction | None = None) -> None:
    still.move(BatchItem.Status.REFUSED, code=code[:32], message=message, earlier=earlier)


@contextlib.contextmanager
def _source(batch: Batch) -> Iterator[Read]:
    """A function that reads a file of the batch: at most one byte more than the limit of a photo."""
    fetch(batch.pk)
    folder, limit = folder_of(batch.pk), settings.MAX_UPLOAD_BYTES

    def checked(data: bytes) -> bytes:
        if len(data) > limit:
            raise BadPhoto(PhotoRefused(RefusalCode.FILE_TOO_LARGE, "size unknown", limit=limit))
        return data

    with contextlib.ExitStack() as opened:

        @functools.cache
        def archive() -> zipfile.ZipFile | None:
            try:
                return opened.enter_context(zipfile.ZipFile(folder / "0"))
            except (OSError, zipfile.BadZipFile) as error:
                log.error("Batch %s: its archive cannot be read: %s", batch.pk, error)
                return None

        def read(item: BatchItem) -> bytes:
            again = folder / sent_again(item.position)
            if again.exists():
                return checked(_first_bytes(again, limit + 1))
            if not batch.archive:
                return checked(_first_bytes(folder / str(item.position), limit + 1))
            if (sent := archive()) is None:
                raise FileNotFoundError(item.name)
            return checked(archives.read_entry(sent, item.position, limit=limit))

        yield read


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _delete_rubbish() -> None:
    """Delete folders and received files that belong to no unfinished batch: a crash left them."""
    root = Path(settings.BATCH_DIR)
    limit = time.time() - _RUBBISH_SECONDS
    old = [path for path in (*root.glob("*"), *root.glob("incoming/*")) if path.stat().st_mtime < limit]
    kept = {str(pk) for pk in Batch.objects.exclude(status=Batch.Status.DONE).values_list("pk", flat=True)}
    for path in old:
        if path.is_dir() and path.name != "incoming" and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink(missing_ok=True)
