"""The search for labels that are probably wrong: asked for in the admin, done by a worker, sent to readers."""

import logging
from datetime import timedelta

import numpy as np
from django.utils import timezone

from cataract.ml.learn.build.photo_vectors import read_photos
from cataract.ml.learn.fit.label_errors import find_suspects
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving
from review.labels.models import Label
from training.datasets import rows
from training.datasets.models import LabelCheck
from training.datasets.rows import doubtable_labels, stored_vectors, usable_labels

LOST = timedelta(minutes=30)  # after which nobody waits for a check any more
_log = logging.getLogger(__name__)


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


def _suspects(labels: list[Label]) -> list[tuple[int, float]]:
    cascade = serving.champion()
    if cascade is None:
        raise ValueError("There is no champion whose encoder could look at the photos. Promote a release first.")
    photos: list[EyeImage] = [label.image for label in labels]
    y = np.array([label.answer == "cataract" for label in labels], dtype=np.int64)
    clusters = np.array([photo.cluster_id for photo in photos], dtype=np.int64)
    if len(set(y.tolist())) < 2:
        raise ValueError("There are no labels of both classes yet.")
    paths = [storage.path(photo.stored_name) for photo in photos]
    stored = stored_vectors(cascade.encoder_hash, usable_labels().order_by().values("image"))
    read = read_photos(cascade, paths, [photo.sha256 for photo in photos], rows.vector_cache(), stored=stored)
    return find_suspects(read.vectors, y, clusters)
