"""Embed stored photos with the encoder of a release, in short turns that may stop at any photo.

The worker of a job holds its lease and a fencing token (`attempts`). A constraint keeps one embedding per photo and
encoder, so a job may be delivered twice, killed, and requested again.
"""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from cataract.ml.cascade.cascade import Cascade
from cataract.ml.photos.images import decode
from cataract.ml.photos.refusals import PhotoRefused
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.embeddings.models import Embedding, EmbeddingJob, EmbeddingJobQuerySet
from predictions.embeddings.packing import pack
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving

log = logging.getLogger(__name__)

TURN_SECONDS = 20.0  # then other tasks have their turn
_CHUNK = 20  # photos written at once, and the most that a killed worker does again
_LEASE = timedelta(seconds=120)  # longer than any chunk takes


def go_on(job_id: int, *, seconds: float = TURN_SECONDS) -> bool:
    """Work on a job for some seconds; return whether this call did and photos are left. Safe to call at any time."""
    job = EmbeddingJob.objects.select_related("release").filter(pk=job_id).first()
    attempt = None if job is None else EmbeddingJob.objects.claim(job, _LEASE)
    if job is None or attempt is None:
        return False
    held = EmbeddingJob.objects.held(job, attempt)
    try:
        cascade = serving.load(job.release)
    except ReleaseCorrupt as error:
        log.error("Photos cannot be embedded: %s", error)  # the lease runs out, and the next sweep tries again
        return False
    deadline = time.monotonic() + seconds
    for photos in _chunks(job):
        if not _embed(cascade, photos, held):
            return False
        if time.monotonic() > deadline:
            held.give_back()
            return True
    held.move(EmbeddingJob.Status.DONE, finished_at=Now(), lease_until=None)
    return False


def sweep(*, seconds: float = 5.0) -> None:
    """Resume every job without a worker, for some seconds each."""
    for job_id in list(EmbeddingJob.objects.free().order_by("created_at").values_list("pk", flat=True)):
        go_on(job_id, seconds=seconds)


def _chunks(job: EmbeddingJob) -> Iterator[list[EyeImage]]:
    """The photos after the job's cursor that have no embedding, in order of their ids."""
    cursor: UUID | None = job.cursor
    while True:
        left = Embedding.missing(job.release.encoder).order_by("pk")
        photos = list((left if cursor is None else left.filter(pk__gt=cursor))[:_CHUNK])
        if not photos:
            return
        yield photos
        cursor = photos[-1].pk


def _embed(cascade: Cascade, photos: list[EyeImage], held: EmbeddingJobQuerySet) -> bool:
    """Embed one chunk; return whether the job is still ours."""
    rows, unreadable = [], 0
    for photo in photos:
        try:
            vector = cascade.embed([decode(storage.read(photo.stored_name))])[0]
        except (OSError, PhotoRefused) as error:
            log.warning("Photo %s cannot be embedded: %s", photo.pk, error)
            unreadable += 1
            continue
        rows.append(Embedding(image=photo, encoder=cascade.encoder_hash, vector=pack(vector)))
    with transaction.atomic():
        Embedding.objects.bulk_create(rows, ignore_conflicts=True)
        return held.renew(
            _LEASE,
            cursor=photos[-1].pk,
            embedded=F("embedded") + len(rows),
            unreadable=F("unreadable") + unreadable,
        )
