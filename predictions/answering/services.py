"""What people and programs can do here: send a photo, ask for its answer, make a key for another system."""

import hashlib
import json
import logging
import time
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError

from cataract.core import idempotency
from cataract.core.models import IdempotentRequest
from cataract.core.nudge import nudge
from predictions.answering import inference, reception, tasks
from predictions.answering.errors import DuplicatePhoto, UploadRunning
from predictions.answering.models import Disclosure, Prediction
from predictions.photos.models import EyeImage

log = logging.getLogger(__name__)


def upload_photo(
    *,
    data: bytes,
    user: User | None,
    source: str,
    patient_key: str = "",
    eye: str = "",
    site: str = "",
    device: str = "",
    captured_at: datetime | None = None,
    may_train: bool = True,
    name: str = "",
    mode: str = Prediction.Mode.CASCADE,
    send_anyway: bool = False,
    claim: IdempotentRequest | None = None,
) -> Prediction:
    """Store one photo for good and answer it; the row is DONE, or QUEUED when a worker has to finish it.

    `send_anyway` asks again about a photo that is already stored for this patient and eye. `claim` is stored in the
    same transaction. Raises PhotoRefused, DuplicatePhoto, QueueFull, StorageFull; nothing is stored then.
    """
    started = time.perf_counter()
    here = settings.INFERENCE == "web" or source == EyeImage.Source.COMMAND
    photo, prediction, timings = reception.receive(
        data=data,
        user=user,
        source=source,
        name=name,
        mode=mode,
        send_anyway=send_anyway,
        leased=here,
        also=None if claim is None else lambda prediction: idempotency.keep_claim(claim, prediction),
        patient_key=patient_key,
        eye=eye,
        site=site,
        device=device,
        captured_at=captured_at,
        may_train=may_train,
    )
    if not here:
        nudge(tasks.predict, prediction.pk)
        _await_worker(prediction)
    elif not inference.answer_now(prediction, photo.pixels, timings):
        nudge(tasks.predict, prediction.pk)
    log.info("Prediction %s took %.0f ms", prediction.pk, (time.perf_counter() - started) * 1000)
    return _stored(prediction.pk)


def upload_once(*, user: User, endpoint: str, key: str, **upload: Any) -> tuple[Prediction, bool]:
    """`upload_photo`, once for each (user, endpoint, key) in 24 hours; return (prediction, whether it was a replay).

    The key is stored with the photo: an upload that was refused or never committed leaves its key free. Raises
    IdempotencyKeyReused when the key came with another request, UploadRunning while the first one still works, and
    what `upload_photo` raises.
    """
    if not key:
        return upload_photo(user=user, **upload), False
    claim = idempotency.claim_key(user=user, endpoint=endpoint, key=key, body_sha256=_digest(upload))
    found = _replay(claim)
    if found is not None:
        return found, True
    try:
        return upload_photo(user=user, claim=claim, **upload), False
    except (DuplicatePhoto, IntegrityError):
        found = _replay(claim)  # the same request, sent twice at once
        if found is None:
            raise
        return found, True


def retry_prediction(*, prediction: Prediction) -> bool:
    """Ask again about a FAILED prediction; return whether it was one."""
    moved = Prediction.objects.filter(pk=prediction.pk).move(
        Prediction.Status.QUEUED, attempts=0, lease_until=None, error="", needs_review=False, reasons=[]
    )
    if moved:
        nudge(tasks.predict, prediction.pk)
    return bool(moved)


def predict_again(*, image: EyeImage) -> Prediction:
    """A new prediction of a stored photo, by the release that serves now; a worker answers it."""
    prediction = Prediction.objects.create(image=image)
    nudge(tasks.predict, prediction.pk)
    return prediction


def disclose(*, predictions: list[Prediction], user: User) -> None:
    """Record that `user` has been shown the answers: such a person is never the blind reader of these photos."""
    shown = [prediction for prediction in predictions if prediction.decision]
    Disclosure.objects.bulk_create(
        [Disclosure(prediction=prediction, image_id=prediction.image_id, user=user) for prediction in shown],
        ignore_conflicts=True,
    )


def _digest(upload: dict[str, Any]) -> str:
    rest = {name: value for name, value in upload.items() if name != "data"}
    text = json.dumps(rest, sort_keys=True, default=str).encode()
    return hashlib.sha256(hashlib.sha256(upload["data"]).digest() + text).hexdigest()


def _replay(claim: IdempotentRequest) -> Prediction | None:
    found: Prediction | None = idempotency.made_before(claim)
    if found is not None and reception.is_with_its_request(found):
        raise UploadRunning(found)
    return found


def _stored(prediction_id: UUID) -> Prediction:
    return Prediction.objects.select_related("image", "release").get(pk=prediction_id)


def _await_worker(prediction: Prediction) -> None:
    """Wait for a worker's answer, but not for long. The row is asked, not the broker: it is the truth."""
    queued = Prediction.objects.in_status(Prediction.Status.QUEUED).filter(pk=prediction.pk)
    deadline, pause = time.monotonic() + settings.INFERENCE_WAIT_SECONDS, 0.005
    while queued.exists() and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05)
