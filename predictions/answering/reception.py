"""A photo that was sent becomes rows: stored for good, in its cluster, with a prediction that waits for its answer."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.core.errors import BadField, QueueFull
from cataract.core.failpoints import hit
from predictions.answering.errors import DuplicatePhoto
from predictions.answering.models import Prediction
from predictions.photos import intake, storage
from predictions.photos.models import EyeImage
from predictions.photos.services import create_image


def receive(
    *,
    data: bytes,
    user: User | None,
    source: str,
    name: str = "",
    mode: str = Prediction.Mode.CASCADE,
    send_anyway: bool = False,
    leased: bool = True,
    also: Callable[[Prediction], None] | None = None,
    **facts: Any,
) -> tuple[intake.Photo, Prediction, dict[str, float]]:
    """Check and store one photo; return it, its QUEUED prediction, and milliseconds by stage.

    The prediction is leased to the caller, who answers it; not `leased`, it is any worker's. `also` runs in the same
    transaction. Facts: patient_key, eye, site, device, captured_at, may_train. Raises PhotoRefused, BadField,
    DuplicatePhoto, QueueFull, StorageFull; nothing is stored then.
    """
    if Prediction.objects.in_status(Prediction.Status.QUEUED).count() >= settings.MAX_QUEUED_PREDICTIONS:
        raise QueueFull
    photo = intake.examine(data, name=name)
    facts["eye"] = agreed_eye(facts["eye"], photo.header.facts.get("eye", ""))
    refuse_duplicate(photo.sha256, facts["patient_key"], facts["eye"], send_anyway=send_anyway)
    lap = time.perf_counter()
    stored_name, stored_sha256 = storage.store(photo.data, suffix=photo.suffix)
    try:
        with transaction.atomic():
            image = EyeImage.objects.filter(sha256=photo.sha256).first() or create_image(
                photo, stored_name, stored_sha256, user=user, source=source, **facts
            )
            prediction = Prediction.objects.create(
                image=image,
                mode=mode,
                requested_by=user,
                timings=photo.timings,
                attempts=int(leased),  # this caller is the first attempt; a crash is found when its lease is over
                lease_until=timezone.now() + inline_lease() if leased else None,
            )
            if also is not None:
                also(prediction)
            hit("upload.in_transaction")
    except IntegrityError:
        refuse_duplicate(photo.sha256, facts["patient_key"], facts["eye"])  # another request was first
        raise
    hit("upload.after_commit")
    return photo, prediction, {**photo.timings, "store": round((time.perf_counter() - lap) * 1000, 2)}


def agreed_eye(stated: str, in_file: str) -> str:
    """The eye that was stated, else the one that the file names. Raises BadField when they differ."""
    if stated and in_file and stated != in_file:
        raise BadField(
            "eye", f"The file says {in_file}, you say {stated}. Check which eye it shows.", code="eye_mismatch"
        )
    return stated or in_file


def inline_lease() -> timedelta:
    """How long a caller may work on the prediction that it made."""
    return timedelta(seconds=settings.INLINE_PREDICTION_SECONDS + 5)


def is_with_its_request(prediction: Prediction) -> bool:
    """Whether the request that made it still works on it: that has the first lease, shorter than a worker's."""
    lease = prediction.lease_until
    if prediction.status != Prediction.Status.QUEUED or prediction.attempts != 1 or lease is None:
        return False
    return timezone.now() < lease <= prediction.created_at + inline_lease()


def refuse_duplicate(sha256: str, patient_key: str, eye: str, *, send_anyway: bool = False) -> None:
    """Raise DuplicatePhoto when these bytes are stored. What was not stated contradicts nothing."""
    known = EyeImage.objects.filter(sha256=sha256).first()
    if known is None:
        return
    code = "duplicate"
    if known.patient_key and patient_key and known.patient_key != patient_key:
        code = "same_photo_other_patient"
    elif known.eye and eye and known.eye != eye:
        code = "same_photo_both_eyes"
    if code == "duplicate" and send_anyway:
        return
    prediction = known.predictions.select_related("image", "release").first()
    raise DuplicatePhoto(code, prediction, f"{timezone.localtime(known.created_at):%Y-%m-%d %H:%M}")
