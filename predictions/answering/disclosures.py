"""Record who was shown which answers: whoever knows one is no blind reader of the photo, and the audit log says so."""

from collections.abc import Iterable, Sequence

from django.contrib.auth.models import User
from django.db import transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.querysets import in_batches
from predictions.answering.models import Disclosure, Prediction

_AT_ONCE = 200
ANSWER = (
    "image_id", "release_id", "decision", "probability", "fast_score", "fast_probability", "accurate_score",
    "accurate_probability", "route", "reasons", "policy_version", "review_propensity",
)  # fmt: skip


def record_shown(*, predictions: Iterable[Prediction], user: User) -> None:
    """Record that `user` is shown what is known of these predictions. What is recorded already costs one query."""
    for shown in in_batches(predictions, _AT_ONCE):
        known = set(Disclosure.objects.filter(user=user, prediction__in=shown).values_list("prediction_id", flat=True))
        new = list({each.pk: each for each in shown if each.pk not in known}.values())
        if new:
            record_shown_first(predictions=new, user=user)


def record_shown_first(*, predictions: Sequence[Prediction], user: User) -> None:
    """Record that `user` is shown these predictions, none of which is known to be recorded."""
    with transaction.atomic(savepoint=False):
        rows = [Disclosure(prediction_id=each.pk, image_id=each.image_id, user=user) for each in predictions]
        Disclosure.objects.bulk_create(rows, ignore_conflicts=True)
        done = [each for each in predictions if each.status == Prediction.Status.DONE]
        ids = [str(each.pk) for each in predictions]
        record(Act.ANSWERS_SHOWN, user=user, rows=done, columns=ANSWER, predictions=ids)
