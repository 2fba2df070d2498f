"""The work behind a prediction: claim the row, predict, write the answer once.

The process that works on a row holds a lease and a fencing token (the attempt's number): a task that is delivered
twice, or wakes up after its lease, writes nothing.
"""

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from cataract.core.failpoints import hit
from cataract.core.models import IdempotentRequest
from cataract.ml.arrays import Pixels, finite_or_none
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.cascade.policy import audit_rate, audit_selected
from cataract.ml.labels import Reason
from cataract.ml.photos.images import decode
from predictions.answering.models import Prediction, PredictionQuerySet
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import pack
from predictions.photos import storage
from predictions.releases import arms
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 8.0  # shorter than the pause between two sweeps
_SETTLE = timedelta(seconds=10)  # a younger row is still with the request that made it
_KEY_LIFE = timedelta(hours=24)


def run_prediction(prediction_id: UUID | str) -> bool:
    """Answer one QUEUED prediction; return whether this call wrote the answer.

    Safe to call at any time and any number of times: a row that is done, failed or leased to another is left alone.
    After settings.PREDICTION_ATTEMPTS attempts the row is FAILED with its error, and a clinician reviews the photo.
    """
    prediction = Prediction.objects.select_related("image").get(pk=prediction_id)
    lease = timedelta(seconds=settings.PREDICTION_LEASE_SECONDS)
    attempt = Prediction.objects.filter(attempts__lt=settings.PREDICTION_ATTEMPTS).claim(prediction, lease)
    if attempt is None:
        return False
    try:
        hit("predict.running", prediction.pk)
        waited = max(0.0, (timezone.now() - prediction.created_at).total_seconds())
        started = time.perf_counter()
        pixels = decode(storage.read(prediction.image.stored_name))
        decoded = time.perf_counter() - started
        timings = {**prediction.timings, "wait": round(waited * 1000, 2), "decode_again": round(decoded * 1000, 2)}
        cascade = arms.cascade_for(prediction.image.patient_key)
        outcome = None if cascade is None else predict_photo(cascade, pixels, prediction.mode)
        return _finish(prediction, attempt, outcome, cascade, timings)
    except Exception as error:
        log.exception("Prediction %s: attempt %d failed", prediction_id, attempt)
        _give_back(prediction, attempt, error)
        return False


def answer_now(prediction: Prediction, pixels: Pixels, timings: dict[str, float]) -> bool:
    """Answer a prediction that was created as attempt 1 of this request; return whether the answer is written.

    False after settings.INLINE_PREDICTION_SECONDS or an error: the row is then QUEUED and free for a worker.
    """
    try:
        cascade = arms.cascade_for(prediction.image.patient_key)
        outcome = None
        if cascade is not None:
            future = _pool().submit(predict_photo, cascade, pixels, prediction.mode)
            outcome = future.result(timeout=settings.INLINE_PREDICTION_SECONDS)
        return _finish(prediction, prediction.attempts, outcome, cascade, timings)
    except TooSlow:
        log.warning("Prediction %s is slow: a worker finishes it", prediction.pk)
        failure: Exception = TimeoutError("The answer took too long.")
    except Exception as error:
        log.exception("Prediction %s failed in the request: a worker tries again", prediction.pk)
        failure = error
    with contextlib.suppress(DatabaseError):  # then the lease runs out; the photo is stored either way
        _give_back(prediction, prediction.attempts, failure)
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
    return Prediction.objects.free().filter(settled)


def predict_photo(cascade: Cascade, pixels: Pixels, mode: str) -> Outcome:
    """A release's outcome for one photo, in its prediction's mode; "cascade" means settings.CASCADE_MODE."""
    chosen = settings.CASCADE_MODE if mode == Prediction.Mode.CASCADE else mode
    return cascade.predict([pixels], mode=chosen)[0]


def _finish(
    prediction: Prediction, attempt: int, outcome: Outcome | None, cascade: Cascade | None, timings: dict[str, float]
) -> bool:
    """Write the answer if `attempt` still holds the row. A photo without an answer goes to review."""
    values = _unanswered(Reason.NO_CHAMPION) if outcome is None else _answered(prediction, outcome, timings)
    with transaction.atomic():
        hit("predict.in_transaction")
        held = Prediction.objects.held(prediction, attempt)
        if not held.move(Prediction.Status.DONE, done_at=Now(), lease_until=None, error="", **values):
            log.warning("Prediction %s: attempt %d came too late", prediction.pk, attempt)
            return False
        if outcome is not None and cascade is not None and outcome.embedding is not None:
            Embedding.objects.get_or_create(
                image_id=prediction.image_id,
                encoder=cascade.encoder_hash,
                defaults={"vector": pack(outcome.embedding)},
            )
        _announce(prediction, Prediction.Status.DONE)
    hit("predict.answered")
    return True


def _answered(prediction: Prediction, outcome: Outcome, timings: dict[str, float]) -> dict[str, Any]:
    needs_review, reasons, propensity = outcome.needs_review, list(outcome.reasons), 1.0
    if not needs_review:  # a known share of the sure answers is reviewed too, to measure their errors
        propensity = audit_rate(outcome.probability, settings.AUDIT_RATE)
        if audit_selected(prediction.image.sha256, propensity):
            needs_review, reasons = True, [*reasons, Reason.AUDIT_SAMPLE]
    return {
        "release_id": outcome.release_id,
        "policy_version": outcome.policy_version,
        "decision": outcome.decision,
        "probability": finite_or_none(outcome.probability),
        "fast_score": finite_or_none(outcome.fast_score),
        "fast_probability": finite_or_none(outcome.fast_probability),
        "accurate_score": finite_or_none(outcome.accurate_score),
        "accurate_probability": finite_or_none(outcome.accurate_probability),
        "route": outcome.route,
        "needs_review": needs_review,
        "reasons": reasons,
        "review_propensity": propensity,
        "gate": outcome.gate,
        "timings": _stages(timings, outcome.timings),
    }


def _stages(intake: dict[str, float], cascade: dict[str, float]) -> dict[str, float]:
    """Milliseconds by stage; `total` is their sum."""
    stages = {**intake, **{stage: round(ms, 2) for stage, ms in cascade.items() if stage != "total"}}
    return {**stages, "total": round(sum(stages.values()), 2)}


def _unanswered(reason: Reason) -> dict[str, Any]:
    return {"needs_review": True, "reasons": [reason], "review_propensity": 1.0}


def _give_back(prediction: Prediction, attempt: int, error: Exception) -> None:
    """End the lease of a failed attempt; after the last one the row is FAILED and goes to review."""
    held = Prediction.objects.held(prediction, attempt)
    message = f"Attempt {attempt}: {error}"[:1000]
    if attempt < settings.PREDICTION_ATTEMPTS:
        held.give_back(error=message)
    else:
        with transaction.atomic():
            if held.move(Prediction.Status.FAILED, lease_until=None, error=message, **_unanswered(Reason.FAILED)):
                _announce(prediction, Prediction.Status.FAILED)


def _fail_exhausted() -> None:
    """Mark rows FAILED whose last attempt died silently (a killed worker): they would wait forever."""
    message = f"The program stopped {settings.PREDICTION_ATTEMPTS} times while working on this photo."
    exhausted = Prediction.objects.free().filter(attempts__gte=settings.PREDICTION_ATTEMPTS)
    for prediction in exhausted.select_related("image")[:1000]:
        with transaction.atomic():
            if exhausted.filter(pk=prediction.pk).move(
                Prediction.Status.FAILED, lease_until=None, error=message, **_unanswered(Reason.FAILED)
            ):
                _announce(prediction, Prediction.Status.FAILED)


def _announce(prediction: Prediction, status: str) -> None:
    """Queue the webhook event of a finished prediction."""
    data = {"prediction": str(prediction.pk), "status": status, "address": prediction.api_url}
    owner = prediction.image.uploaded_by_id
    webhooks.record(WebhookEndpoint.Event.PREDICTION_FINISHED, data, owner_id=owner, is_private=True)


_pool_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _pool() -> ThreadPoolExecutor:
    """Threads that compute for requests, which can then stop waiting. One pool per process."""
    with _pool_lock:
        if os.getpid() not in _pools:
            _pools[os.getpid()] = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="inference")
        return _pools[os.getpid()]
