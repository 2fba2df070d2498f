"""Start a search for labels that are probably wrong, and send what it finds to readers."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core.broker.nudge import nudge
from cataract.core.errors import ADD_TRAINING_SET, DomainError
from cataract.ml.learn.packages import has_cleanlab
from review.labels.models import Label
from review.queue import services as queue_services
from training.label_checks import tasks
from training.label_checks.models import LabelCheck


class CheckRefused(DomainError):
    code, status = "label_check_refused", 409


def start_check(*, user: User | None) -> LabelCheck:
    """Queue a check and tell a worker. Raises CheckRefused."""
    if not has_cleanlab():
        raise CheckRefused(
            f"cleanlab is not installed: this installation has no training packages. {ADD_TRAINING_SET}."
        )
    try:
        with transaction.atomic():
            check = LabelCheck.objects.create(requested_by=user)
    except IntegrityError:
        raise CheckRefused("The labels are being checked already. Wait for the result.") from None
    nudge(tasks.check_labels, check.pk)
    return check


def standing_suspects(check: LabelCheck | None) -> list[tuple[Label, float]]:
    """The suspect labels that still stand, the most doubtful first, each with the probability that it is right."""
    confidence = dict(check.suspects) if check else {}
    labels = Label.objects.standing().of_photos_in_use().filter(pk__in=confidence).select_related("image")
    return sorted(((label, confidence[str(label.pk)]) for label in labels), key=lambda suspect: suspect[1])


def send_to_review(*, check: LabelCheck) -> int:
    """Send the photos of all standing suspects to blind readers; return the number of cases opened."""
    return queue_services.recheck_labels(labels=[label for label, _ in standing_suspects(check)])
