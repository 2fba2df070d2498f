"""Labels that may be wrong go back to people, who read the photo blind and do not learn that anything is in doubt."""

from collections.abc import Iterable

from django.db import transaction

from predictions.answering import services
from review.cases.models import ReviewCase
from review.labels.models import Label
from review.queue import policy


def recheck_labels(*, labels: Iterable[Label]) -> int:
    """Open a case for the photo of each standing label that waits for no reader already; return how many.

    The case is about a new prediction of the photo. What the readers say becomes the label where it is known no worse
    than what stands (`review.labels.services.RANK`).
    """
    opened = 0
    for label in labels:
        waits = ReviewCase.objects.filter(
            image=label.image_id, kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN
        ).exists()
        if waits or label.superseded_at is not None:
            continue
        with transaction.atomic():
            case = policy.new_case(services.predict_again(image=label.image), reasons=[policy.SUSPECTED])
            case.save(force_insert=True)
        opened += 1
    return opened
