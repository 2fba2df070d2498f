"""The work behind the review's clock: open what should be read, clear what nobody holds any more."""

import logging
from collections.abc import Iterable

from django.utils import timezone

from review.cases.models import ReviewCase
from review.cases.photos import photo_of
from review.queue import claims, policy

log = logging.getLogger(__name__)


def sweep() -> tuple[int, int]:
    """Open missing cases and clear ended leases; returns how many of each. Safe at any time and any number of times."""
    started = timezone.now()
    opened = policy.open_cases()
    freed = claims.free_expired()
    _prepare_photos(ReviewCase.objects.filter(created_at__gte=started).select_related("image") if opened else ())
    return opened, freed


def _prepare_photos(cases: Iterable[ReviewCase]) -> None:
    """Make the readers' view of new photos now, so that no reader waits for it; a failure shows when it is read."""
    for case in cases:
        try:
            photo_of(case)
        except Exception:
            log.exception("Case %s: its photo could not be prepared", case.pk)
