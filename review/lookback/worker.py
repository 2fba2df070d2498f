"""Score the photos of look-backs, in short turns that may stop at any photo.

The worker of a look-back holds its lease and a fencing token (`attempts`). A constraint keeps one answer per photo, so
a look-back may be delivered twice, or killed.
"""

import logging
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from cataract.core.failpoints import hit
from cataract.ml.arrays import finite_or_none
from cataract.ml.cascade.cascade import Cascade
from cataract.ml.photos.images import decode
from cataract.ml.release.manifest import ReleaseCorrupt
from predictions.answering import inference
from predictions.answering.models import Prediction
from predictions.photos import storage
from predictions.releases import serving
from review.lookback.models import LookBack, LookBackAnswer

log = logging.getLogger(__name__)

_CHUNK = 20  # photos written at once, and the most that a killed worker does again
_LEASE = timedelta(seconds=120)  # longer than any chunk takes


def go_on(look_back_id: UUID, *, seconds: float) -> bool:
    """Work on a look-back for some seconds; return whether photos are left. Safe to call at any time."""
    look_back = LookBack.objects.select_related("by_release").filter(pk=look_back_id).first()
    attempt = None if look_back is None else LookBack.objects.claim(look_back, _LEASE)
    if look_back is None or attempt is None:
        return False
    held = LookBack.objects.held(look_back, attempt)
    try:
        cascade = serving.load(look_back.by_release)
    except ReleaseCorrupt as error:
        held.move(LookBack.Status.FAILED, finished_at=Now(), lease_until=None, error=f"{look_back.by_release}: {error}")
        return False
    deadline = time.monotonic() + seconds
    while predictions := list(_left(look_back)[:_CHUNK]):
        answers = [_answer(look_back, cascade, prediction) for prediction in predictions]
        with transaction.atomic():
            LookBackAnswer.objects.bulk_create(answers, ignore_conflicts=True)
            hit("look_back.in_transaction")
            if not held.renew(_LEASE):
                transaction.set_rollback(True)
                return False
        hit("look_back.after_commit")
        if time.monotonic() > deadline:
            held.give_back()
            return True
    held.move(LookBack.Status.DONE, finished_at=Now(), lease_until=None)
    return False


def sweep(*, seconds: float = 5.0) -> None:
    """Resume every look-back without a worker, for some seconds each."""
    for look_back_id in list(LookBack.objects.free().order_by("created_at").values_list("pk", flat=True)):
        go_on(look_back_id, seconds=seconds)


def _left(look_back: LookBack) -> Any:
    answers = LookBackAnswer.objects.filter(look_back=look_back, prediction=OuterRef("pk"))
    return look_back.decided_alone().filter(~Exists(answers)).select_related("image")


def _answer(look_back: LookBack, cascade: Cascade, prediction: Prediction) -> LookBackAnswer:
    """The unsaved answer; a photo that cannot be scored is an answer of its own, which is not tried again."""
    answer = LookBackAnswer(look_back=look_back, prediction=prediction)
    try:
        pixels = decode(storage.read(prediction.image.stored_name))
        outcome = inference.predict_photo(cascade, prediction, pixels)
        answer.decision, answer.probability = outcome.decision, finite_or_none(outcome.probability)
    except Exception as error:
        log.exception("Look-back: prediction %s cannot be scored", prediction.pk)
        answer.error = f"{type(error).__name__}: {error}"[:1000]
    return answer
