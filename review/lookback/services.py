"""Start and cancel look-backs, and send what they find to readers."""

from collections.abc import Sequence
from datetime import date

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cataract.core.errors import BadField
from predictions.answering.models import Prediction
from predictions.releases.models import Release
from review.lookback.models import LookBack, LookBackAnswer
from review.queue import services as queue_services


def start_look_back(*, user: User | None, release: Release, by_release: Release, since: date, until: date) -> LookBack:
    """Start scoring again; a worker begins within seconds. The same one, still running, is returned.

    Raises BadField for the same release twice, for days in the wrong order, and where there is no photo.
    """
    if release == by_release:
        raise BadField("by_release", "Choose another release than the one that answered.")
    if since > until:
        raise BadField("until", "The last day is before the first.")
    values = {"release": release, "by_release": by_release, "since": since, "until": until}
    total = LookBack(**values).decided_alone().count()
    if not total:
        raise BadField("since", "This release decided no photo alone in these days.")
    look_back, _ = LookBack.objects.get_or_create(
        **values, status=LookBack.Status.WAITING, defaults={"requested_by": user, "total": total}
    )
    return look_back


def cancel_look_back(*, look_back: LookBack) -> bool:
    """Stop a running look-back; what it has found stays. False where it had ended."""
    rows = LookBack.objects.filter(pk=look_back.pk)
    return bool(rows.move(LookBack.Status.CANCELLED, finished_at=timezone.now(), lease_until=None))


def send_answers(*, answers: Sequence[LookBackAnswer]) -> int:
    """Send the photos of these answers to blind readers; returns how many cases are opened."""
    predictions = [answer.prediction for answer in answers if answer.case_id is None]
    with transaction.atomic():
        cases, opened = queue_services.look_back_at(predictions=predictions)
        for answer in answers:
            if answer.case_id is None:
                answer.case = cases.get(answer.prediction.image_id)
        LookBackAnswer.objects.bulk_update(answers, ["case"], batch_size=500)
    return opened


def send_predictions(*, predictions: Sequence[Prediction]) -> int:
    """Send the photos of these predictions to blind readers; returns how many cases are opened."""
    return queue_services.look_back_at(predictions=predictions)[1]
