"""The search for labels that are probably wrong: asked for in the admin, done by a worker, sent to readers."""

import logging
from functools import partial

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core.errors import DomainError
from cataract.ml.learn.fit.label_errors import can_find
from review.labels.models import Label
from review.queue import rechecks
from training.datasets import label_checks
from training.datasets import tasks as datasets_tasks
from training.datasets.models import LabelCheck

_log = logging.getLogger(__name__)


class CheckRefused(DomainError):
    code, status = "label_check_refused", 409


def start_check(*, user: User | None) -> LabelCheck:
    """Queue one check; the caller tells a worker. Raises CheckRefused."""
    if not can_find():
        raise CheckRefused(
            "This is a light installation: cleanlab is not installed. Add the training set with `make install`."
        )
    try:
        with transaction.atomic():
            return LabelCheck.objects.create(requested_by=user)
    except IntegrityError:
        raise CheckRefused("The labels are being checked already. Wait for the result.") from None


def standing_suspects(check: LabelCheck | None) -> list[tuple[Label, float]]:
    """The finds of a check that still stand, the most doubtful first, each with the probability of what it says."""
    confidence = dict(check.suspects) if check else {}
    labels = Label.objects.standing().filter(pk__in=confidence).select_related("image")
    return sorted(((label, confidence[str(label.pk)]) for label in labels), key=lambda found: found[1])


def send_to_review(*, check: LabelCheck) -> int:
    """Send the photos of all standing finds to blind readers; return how many cases were opened."""
    return rechecks.recheck_labels(labels=[label for label, _ in standing_suspects(check)])


def check_labels(*, user: User | None) -> LabelCheck:
    """Ask a worker which labels are probably wrong. Raises CheckRefused."""
    check = label_checks.start_check(user=user)
    transaction.on_commit(partial(datasets_tasks.check_labels.delay, str(check.pk)), robust=True)
    return check
