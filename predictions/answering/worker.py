"""Answer the predictions that no request has answered: as messages arrive, and in a sweep for those left behind."""

import logging
import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from cataract.core.failpoints import hit
from cataract.core.models import IdempotentRequest
from cataract.ml.labels import Reason
from cataract.ml.photos.images import decode
from predictions.answering import inference
from predictions.answering.models import Prediction, PredictionQuerySet
from predictions.photos import storage
from predictions.photos.models import EyeImage

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 8.0  # shorter than the pause between two sweeps
_SETTLE = timedelta(seconds=10)  # the request that made a younger row may still be answering it
_KEY_LIFE = timedelta(hours=24)


def run_prediction(prediction_id: UUID | str) -> bool:
    """Answer one QUEUED prediction; return whether this call wrote the answer.

    Safe to call at any time and any number of times: a row that is done, failed or leased to another is left alone.
    After settings.PREDICTION_ATTEMPTS attempts the row is FAILED with its error, and a clinician reviews the photo.
    """
    prediction = Prediction.objects.select_related("image__patient").get(pk=prediction_id)
    lease = timedelta(seconds=settings.PREDICTION_LEASE_SECONDS)
    if prediction.image.status != EyeImage.Status.KEPT:  # in the trash: answered once it is restored
        return False
    attempt = Prediction.objects.filter(attempts__lt=settings.PREDICTION_ATTEMPTS).claim(prediction, lease)
    if attempt is None:
        return False
    bind_contextvars(prediction=str(prediction.pk))
    try:
        hit("predict.running", prediction.pk)
        waited = max(0.0, (timezone.now() - prediction.created_at).total_seconds())
        started = time.perf_counter()
        pixels = decode(storage.read(prediction.image.stored_name))
        decoded = time.perf_counter() - started
        timings = {**prediction.timings, "wait": round(waited * 1000, 2), "decode_again": round(decoded * 1000, 2)}
        cascade = inference.cascade_for(prediction)
        outcome = None if cascade is None else inference.predict_photo(cascade, prediction, pixels)
        return inference.finish(prediction, attempt, outcome, timings)
    except Exception as error:
        log.exception("Prediction %s: attempt %d failed", prediction_id, attempt)
        inference.give_back(prediction, attempt, error)
        return False


def sweep() -> int:
    """Finish work left behind: lost messages, dead workers, stale files and keys. Return the number of answers."""
    _fail_exhausted()
    storage.sweep_temporary()
    IdempotentRequest.objects.filter(created_at__lt=Now() - _KEY_LIFE).delete()
    deadline = time.monotonic() + _SWEEP_SECONDS
    written = 0
    for prediction_id in list(waiting().order_by("created_at").values_list("pk", flat=True)[:1000]):
        written += run_prediction(prediction_id)
        if time.monotonic() > deadline:
            break
    return written


def waiting() -> PredictionQuerySet:
    """QUEUED predictions that no request and no worker holds."""
    settled = Q(lease_until__isnull=False) | Q(created_at__lt=Now() - _SETTLE)
    return Prediction.objects.free().of_kept_photos().filter(settled)


def _fail_exhausted() -> None:
    """Mark rows FAILED whose last attempt died silently (a killed worker): they would wait forever."""
    message = f"The program stopped {settings.PREDICTION_ATTEMPTS} times while working on this photo."
    exhausted = Prediction.objects.free().filter(attempts__gte=settings.PREDICTION_ATTEMPTS)
    for prediction in exhausted.select_related("image")[:1000]:
        with transaction.atomic():
            if exhausted.filter(pk=prediction.pk).move(
                Prediction.Status.FAILED, lease_until=None, error=message, **inference.unanswered(Reason.FAILED)
            ):
                inference.announce(prediction, Prediction.Status.FAILED)
