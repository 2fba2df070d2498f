"""Look for copies of each stored photo, after its upload, and join what belongs together.

The words of a photo are committed before its copies are looked up: of two copies that are compared at the same time, at
least one finds the other. Until then a photo is in no dataset (`EyeImage.compared_at`).
"""

import logging
import time
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from predictions.photos.clusters import join_copies, one_at_a_time
from predictions.photos.copies import find_copies, read_picture, remember
from predictions.photos.models import EyeImage

log = logging.getLogger(__name__)

_CHUNK = 20  # photos read from the database at once


def compare(image: EyeImage, *, is_new: bool = False) -> None:
    """Look for copies of one photo and join their clusters. Safe to repeat, and in several processes at once.

    `is_new`: it was stored just now, so no dataset knows it (see `clusters.join_copies`).
    """
    picture = read_picture(image)
    if picture is None:
        log.warning("Photo %s cannot be compared: its file is missing or damaged", image.pk)
    else:
        with transaction.atomic():
            one_at_a_time()  # a purge has taken all words of a photo, or waits
            if not _not_purged(image):
                return
            remember(image, picture)
    found = [] if picture is None else [copy.pk for copy in find_copies(image, picture)]
    with transaction.atomic():
        one_at_a_time()
        if not _not_purged(image):
            return
        copies = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).filter(pk__in=found).select_related("cluster")
        join_copies(image, list(copies.order_by("created_at")), is_new=is_new)
        image.compared_at = timezone.now()
        image.save(update_fields=["compared_at"])


def sweep(*, seconds: float = 5.0, on_progress: Callable[[int, int, str], None] | None = None) -> int:
    """Compare the photos that wait, oldest first, for some seconds; return how many were compared."""
    deadline, done = time.monotonic() + seconds, 0
    total = EyeImage.objects.waiting_for_comparison().count() if on_progress else 0
    while photos := list(EyeImage.objects.waiting_for_comparison().order_by("created_at")[:_CHUNK]):
        for photo in photos:
            if time.monotonic() > deadline:
                return done
            compare(photo)
            done += 1
            if on_progress:
                on_progress(done, max(done, total), "looking for copies")
    return done


def _not_purged(image: EyeImage) -> bool:
    return EyeImage.objects.filter(pk=image.pk).exclude(status=EyeImage.Status.PURGED).exists()
