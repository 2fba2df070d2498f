"""The search for labels that are probably wrong: asked for in the admin, done by a worker, sent to readers."""

import logging
from datetime import timedelta

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from cataract.ml.learn.reading import read_photos
from cataract.ml.learn.suspects import can_find, find_suspects
from predictions import registry, storage
from predictions.errors import DomainError
from predictions.models import EyeImage
from review import rechecks
from review.models import Label
from training import workplace
from training.datasets import doubtable_labels, stored_vectors, usable_labels
from training.models import LabelCheck

LOST = timedelta(minutes=30)  # after which nobody waits for a check any more
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


def run_check(check_id: str) -> None:
    """Look for wrong labels among those that may train. Safe to deliver twice: only one delivery claims it."""
    mine = LabelCheck.objects.filter(pk=check_id)
    if not mine.move(LabelCheck.Status.RUNNING):
        return
    try:
        labels = doubtable_labels()
        found = _suspects(labels)
    except Exception as error:
        _log.exception("Label check %s failed", check_id)
        mine.move(LabelCheck.Status.FAILED, finished_at=timezone.now(), error=str(error) or type(error).__name__)
        return
    suspects = [[str(labels[row].pk), round(confidence, 4)] for row, confidence in found]
    mine.move(LabelCheck.Status.DONE, finished_at=timezone.now(), photos=len(labels), suspects=suspects)


def fail_lost_checks() -> None:
    """A check whose worker died, or whose message was lost, may be asked for again."""
    old = LabelCheck.objects.filter(created_at__lt=timezone.now() - LOST)
    old.move(LabelCheck.Status.FAILED, finished_at=timezone.now(), error="Its worker was lost. Ask for it again.")


def standing_suspects(check: LabelCheck | None) -> list[tuple[Label, float]]:
    """The finds of a check that still stand, the most doubtful first, each with the probability of what it says."""
    confidence = dict(check.suspects) if check else {}
    labels = Label.objects.standing().filter(pk__in=confidence).select_related("image")
    return sorted(((label, confidence[str(label.pk)]) for label in labels), key=lambda found: found[1])


def send_to_review(*, check: LabelCheck) -> int:
    """Send the photos of all standing finds to blind readers; return how many cases were opened."""
    return rechecks.recheck_labels(labels=[label for label, _ in standing_suspects(check)])


def _suspects(labels: list[Label]) -> list[tuple[int, float]]:
    cascade = registry.champion()
    if cascade is None:
        raise ValueError("There is no champion whose encoder could look at the photos. Promote a release first.")
    photos: list[EyeImage] = [label.image for label in labels]
    y = np.array([label.answer == "cataract" for label in labels], dtype=np.int64)
    clusters = np.array([photo.cluster_id for photo in photos], dtype=np.int64)
    if len(set(y.tolist())) < 2:
        raise ValueError("There are no labels of both classes yet.")
    paths = [storage.path(photo.stored_name) for photo in photos]
    stored = stored_vectors(cascade.encoder_hash, usable_labels().order_by().values("image"))
    read = read_photos(cascade, paths, [photo.sha256 for photo in photos], workplace.cache(), stored=stored)
    return find_suspects(read.vectors, y, clusters)
