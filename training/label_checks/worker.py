"""Run a label check: find the labels that a model, fitted without the photo's cluster, confidently contradicts."""

import logging
from datetime import timedelta

import numpy as np
from django.utils import timezone

from cataract.ml.labels import CATARACT
from cataract.ml.learn.fast.label_errors import find_suspects
from cataract.ml.learn.vectors.embedding_cache import embed_photos
from predictions.photos import storage
from predictions.photos.models import EyeImage
from predictions.releases import serving
from review.labels.models import Label
from training.datasets.selectors import checkable_labels, usable_labels
from training.datasets.vectors import stored_vectors, vector_cache
from training.label_checks.models import LabelCheck

LOST = timedelta(minutes=30)  # a check that takes longer counts as lost
_log = logging.getLogger(__name__)


def run_check(check_id: str) -> None:
    """Run one queued check and store its suspects. Safe to deliver twice: only one delivery claims it."""
    check = LabelCheck.objects.filter(pk=check_id)
    if not check.move(LabelCheck.Status.RUNNING):
        return
    try:
        labels = checkable_labels()
        suspects = _suspects(labels)
    except Exception as error:
        _log.exception("Label check %s failed", check_id)
        check.move(LabelCheck.Status.FAILED, finished_at=timezone.now(), error=str(error) or type(error).__name__)
        return
    rows = [[str(labels[row].pk), round(confidence, 4)] for row, confidence in suspects]
    check.move(LabelCheck.Status.DONE, finished_at=timezone.now(), photos=len(labels), suspects=rows)


def fail_lost_checks() -> None:
    """Fail the checks whose worker died or whose message was lost; a new check can then start."""
    old = LabelCheck.objects.filter(created_at__lt=timezone.now() - LOST)
    old.move(LabelCheck.Status.FAILED, finished_at=timezone.now(), error="Its worker was lost. Start the check again.")


def _suspects(labels: list[Label]) -> list[tuple[int, float]]:
    """(row of `labels`, probability that the label is right) of each suspect. Raises ValueError when none can be."""
    cascade = serving.champion()
    if cascade is None:
        raise ValueError("There is no champion to encode the photos. Promote a release first.")
    photos: list[EyeImage] = [label.image for label in labels]
    y = np.array([label.answer == CATARACT for label in labels], dtype=np.int64)
    clusters = np.array([photo.cluster_id for photo in photos], dtype=np.int64)
    if len(set(y.tolist())) < 2:
        raise ValueError("There are no labels of both classes yet.")
    paths = storage.local_paths([photo.stored_name for photo in photos])
    stored = stored_vectors(cascade.encoder_hash, usable_labels().order_by().values("image"))
    sha256s = [photo.sha256 for photo in photos]
    vectors = embed_photos(cascade, paths, sha256s, vector_cache(), stored=stored).vectors
    return find_suspects(vectors, y, clusters)
