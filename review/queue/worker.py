"""Background work of the queue: open missing cases, prepare their photos, clear expired leases."""

import logging
from collections.abc import Iterable

from django.utils import timezone

from predictions.photos.models import EyeImage
from review.cases.models import ReviewCase
from review.cases.photos import photo_of
from review.queue import claims, opening

log = logging.getLogger(__name__)


def sweep() -> tuple[int, int]:
    """Open missing cases and clear expired leases; returns how many of each. Safe to run at any time.

    Open cases of purged photos are withdrawn: nobody can read them any more.
    """
    started = timezone.now()
    opened = opening.open_cases()
    cleared = claims.clear_expired()
    purged = ReviewCase.objects.filter(image__status=EyeImage.Status.PURGED)
    purged.move(ReviewCase.Status.WITHDRAWN, claimed_by=None, lease_until=None)
    if opened:
        _prepare_photos(ReviewCase.objects.filter(created_at__gte=started).select_related("image"))
    return opened, cleared


def _prepare_photos(cases: Iterable[ReviewCase]) -> None:
    """Make the readers' view of new photos in advance. Failures are logged; the reader's page tries again."""
    for case in cases:
        try:
            photo_of(case)
        except Exception:
            log.exception("Case %s: its photo could not be prepared", case.pk)
