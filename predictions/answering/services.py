"""Upload a photo and answer it; replay, retry and disclose predictions.

An upload runs through this module: `upload_once` (Idempotency-Key) -> `upload_photo` -> `receive_photo` (examine,
store, QUEUED row) -> `inference.answer_now`, or a worker.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import Exists, Value
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from cataract.core import idempotency
from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.compiled import Compiled
from cataract.core.errors import QueueFull
from cataract.core.failpoints import hit
from cataract.core.models import IdempotentRequest
from predictions.answering import disclosures, inference, tasks
from predictions.answering.errors import DuplicatePhoto, UploadRunning
from predictions.answering.models import Prediction, PredictionQuerySet
from predictions.photos import intake
from predictions.photos.facts import NOTHING_STATED, PhotoFacts
from predictions.photos.models import EyeImage
from predictions.photos.refusals import PhotoInTrash
from predictions.photos.services import store_photo
from predictions.releases.arms import asking, who_answers
from predictions.webhooks.models import WebhookEndpoint

log = logging.getLogger(__name__)


def upload_photo(
    *,
    data: bytes,
    user: User | None,
    source: str,
    facts: PhotoFacts = NOTHING_STATED,
    name: str = "",
    mode: str = Prediction.Mode.CASCADE,
    send_anyway: bool = False,
    is_shown: bool = False,
    claim: IdempotentRequest | None = None,
) -> Prediction:
    """Store one photo and answer it; the row is DONE, or QUEUED when a worker has to finish it.

    `send_anyway` asks again about a photo that is already stored for this patient and eye. `is_shown`: to `user`, at
    once; an answer that is given here is stored together with that (see `disclose`). `claim` is stored in the same
    transaction as the photo. Raises what `receive_photo` raises; nothing is stored then.
    """
    started = time.perf_counter()
    is_command = source == EyeImage.Source.COMMAND  # which answers its own photos, whatever the setting
    answers_here = settings.INFERENCE in ("web", "ray") or is_command
    received = receive_photo(
        data=data,
        user=user,
        source=source,
        facts=facts,
        name=name,
        mode=mode,
        send_anyway=send_anyway,
        leased=answers_here,
        also=None if claim is None else lambda prediction: idempotency.keep_claim(claim, prediction),
    )
    prediction = received.prediction
    bind_contextvars(prediction=str(prediction.pk))
    asks_replicas = settings.INFERENCE == "ray" and not is_command
    known = replace(received.known, shown_to=user if is_shown else None, asks_replicas=asks_replicas)
    is_answered = answers_here and inference.answer_now(prediction, received.photo.pixels, received.timings, known)
    if not is_answered:
        nudge(tasks.predict, prediction.pk)
    if not is_answered and settings.INFERENCE != "web":
        _await_worker(prediction)
    log.info("Prediction %s took %.0f ms", prediction.pk, (time.perf_counter() - started) * 1000)
    if is_answered and known.is_new and prediction.image.near_duplicate_of is None:
        vars(prediction).update(has_open_check=False)  # nothing else is shown of it that is not in this object
        return prediction
    return Prediction.objects.as_shown().get(pk=prediction.pk)


def upload_once(
    *, user: User, endpoint: str, key: str, is_shown: bool = True, **upload: Any
) -> tuple[Prediction, bool]:
    """`upload_photo`, once per (user, endpoint, key) in 24 hours; return (prediction, whether it was a replay).

    Whoever shows `user` the answer calls `disclose` for it; `is_shown`: in the response to this request. The key is
    stored with the photo: an upload that was refused or never committed leaves its key free. Raises
    IdempotencyKeyReused when the key came with another request, UploadRunning while the first one is running, and what
    `upload_photo` raises.
    """
    if not key:
        return upload_photo(user=user, is_shown=is_shown, **upload), False
    claim = idempotency.claim_key(user=user, endpoint=endpoint, key=key, body_sha256=_digest(upload))
    earlier = _replay(claim)
    if earlier is not None:
        return earlier, True
    try:
        return upload_photo(user=user, is_shown=is_shown, claim=claim, **upload), False
    except (DuplicatePhoto, IntegrityError):
        earlier = _replay(claim)  # the same request, sent twice at once
        if earlier is None:
            raise
        return earlier, True


@dataclass(frozen=True)
class Received:
    """A stored photo whose prediction waits. timings: milliseconds by stage. known: what its answer need not ask."""

    photo: intake.Photo
    prediction: Prediction
    timings: dict[str, float]
    known: inference.Known


def receive_photo(
    *,
    data: bytes,
    user: User | None,
    source: str,
    facts: PhotoFacts,
    name: str = "",
    mode: str = Prediction.Mode.CASCADE,
    send_anyway: bool = False,
    leased: bool = True,
    also: Callable[[Prediction], None] | None = None,
) -> Received:
    """Examine and store one photo, with a QUEUED prediction.

    The prediction is leased to the caller, who answers it; not `leased`, any worker may. `also` runs in the same
    transaction. Raises BadPhoto, DecodersBusy, BadField, DuplicatePhoto, QueueFull, StorageFull; then nothing is
    stored.
    """
    known = _look()
    photo = intake.examine(data, name=name, caller=None if user is None else user.pk)
    facts = facts.completed(photo.header.facts)
    stored: list[tuple[Prediction, bool]] = []

    def queue_prediction(image: EyeImage, is_new: bool) -> None:
        if not is_new:
            _refuse_duplicate(image, facts, user=user, send_anyway=send_anyway)
        prediction = Prediction.objects.create(
            image=image,
            mode=mode,
            requested_by=user,
            timings=photo.timings,
            attempts=int(leased),  # this caller is the first attempt; its lease ends if it crashes
            lease_until=timezone.now() + _inline_lease() if leased else None,
        )
        if also is not None:
            also(prediction)
        record(
            Act.PHOTO_SENT, about=image, user=user, columns=("sha256", "stored_sha256"), prediction=str(prediction.pk)
        )
        stored[:] = [(prediction, is_new)]
        hit("upload.in_transaction")

    started = time.perf_counter()
    seen = None if known.arms is None else known.arms.seen_hashes()
    store_photo(photo, facts, user=user, source=source, seen=seen, also=queue_prediction)
    hit("upload.after_commit")
    stored_ms = round((time.perf_counter() - started) * 1000, 2)
    (prediction, is_new), *_ = stored
    return Received(photo, prediction, {**photo.timings, "store": stored_ms}, replace(known, is_new=is_new))


def _look() -> inference.Known:
    """What an upload has to know of the system, in one query: who answers, and who is told. Raises QueueFull."""
    most: int = settings.MAX_QUEUED_PREDICTIONS
    arms = who_answers(_with_queue_and_webhooks(most))
    if arms.beside.get("is_queue_full", False) or (not arms.beside and _queued().count() >= most):
        raise QueueFull
    return inference.Known(arms=arms, has_webhooks=arms.beside.get("has_webhooks", True))


@cache
def _with_queue_and_webhooks(most: int) -> Compiled[dict[str, Any]]:
    return asking(
        is_queue_full=Exists(_queued().values("pk")[most - 1 : most]) if most else Value(True),
        is_off_somewhere=inference.IS_OFF_SOMEWHERE,
        has_webhooks=Exists(WebhookEndpoint.objects.filter(active=True, user__is_active=True)),
    )


def _queued() -> PredictionQuerySet:
    return Prediction.objects.in_status(Prediction.Status.QUEUED).of_kept_photos().order_by()


def retry_prediction(*, prediction: Prediction) -> bool:
    """Queue a FAILED prediction again; return whether it was one."""
    moved = Prediction.objects.filter(pk=prediction.pk).move(
        Prediction.Status.QUEUED, attempts=0, lease_until=None, error="", needs_review=False, reasons=[]
    )
    if moved:
        nudge(tasks.predict, prediction.pk)
    return bool(moved)


def predict_again(*, image: EyeImage) -> Prediction:
    """Queue a new prediction of a stored photo by the release that serves now; a worker answers it."""
    prediction = Prediction.objects.create(image=image)
    nudge(tasks.predict, prediction.pk)
    return prediction


def disclose(*, predictions: list[Prediction], user: User) -> None:
    """Record that `user` has been shown these answers, and is therefore never the blind reader of these photos."""
    unrecorded = [each for each in predictions if not each.is_shown_to(user)]
    shown = [each for each in unrecorded if each.decision or each.final_result is not None]
    disclosures.record_shown(predictions=shown, user=user)


def disclose_photos(*, images: Iterable[UUID], user: User) -> None:
    """Record that `user` has been shown answers about these photos: the AI's, or those of people who read them."""
    answered = Prediction.objects.filter(image__in=list(images)).exclude(status=Prediction.Status.QUEUED)
    disclosures.record_shown(predictions=answered, user=user)


def _refuse_duplicate(image: EyeImage, facts: PhotoFacts, *, user: User | None, send_anyway: bool) -> None:
    """Raise DuplicatePhoto for a stored image, unless it is sent again on purpose. Facts not stated never conflict."""
    code = "duplicate"
    if image.withdrawn_at is not None:
        code = "photo_withdrawn"
    elif image.patient_key and facts.patient_key and image.patient_key != facts.patient_key:
        code = "same_photo_other_patient"
    elif image.eye and facts.eye and image.eye != facts.eye:
        code = "same_photo_both_eyes"
    if code == "duplicate" and send_anyway:
        return
    prediction = image.predictions.as_shown().first()
    is_visible = user is None or EyeImage.objects.visible_to(user).filter(pk=image.pk).exists()
    when = f"{timezone.localtime(image.created_at):%Y-%m-%d %H:%M}"
    raise DuplicatePhoto(code, prediction, when, is_visible=is_visible)


def _inline_lease() -> timedelta:
    """How long the request that created a prediction may work on it."""
    return timedelta(seconds=settings.INLINE_PREDICTION_SECONDS + 5)


def _is_with_its_request(prediction: Prediction) -> bool:
    """Whether the request that created it is still answering it: it holds the first lease, shorter than a worker's."""
    lease = prediction.lease_until
    if prediction.status != Prediction.Status.QUEUED or prediction.attempts != 1 or lease is None:
        return False
    return timezone.now() < lease <= prediction.created_at + _inline_lease()


def _digest(upload: dict[str, Any]) -> str:
    rest = {name: value for name, value in upload.items() if name not in ("data", "facts")} | vars(upload["facts"])
    text = json.dumps(rest, sort_keys=True, default=str).encode()
    return hashlib.sha256(hashlib.sha256(upload["data"]).digest() + text).hexdigest()


def _replay(claim: IdempotentRequest) -> Prediction | None:
    earlier: Prediction | None = idempotency.made_before(claim)
    if earlier is not None and _is_with_its_request(earlier):
        raise UploadRunning(earlier)
    if earlier is not None and earlier.image.status != EyeImage.Status.KEPT:
        raise PhotoInTrash(earlier.image.removed_at)
    return earlier


def _await_worker(prediction: Prediction) -> None:
    """Wait briefly for a worker's answer. Reads the row, the source of truth, not the broker."""
    queued = Prediction.objects.in_status(Prediction.Status.QUEUED).filter(pk=prediction.pk)
    deadline, pause = time.monotonic() + settings.INFERENCE_WAIT_SECONDS, 0.005
    while queued.exists() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05)
