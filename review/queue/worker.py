"""Background work of the queue: open missing cases, withdraw needless ones, prepare photos, clear expired leases."""

import logging
from collections.abc import Iterable

from django.utils import timezone

from review.cases.models import ReviewCase
from review.cases.photos import photo_of
from review.queue import claims, opening, withdrawal

log = logging.getLogger(__name__)


def sweep() -> tuple[int, int]:
    """Open missing cases, withdraw needless ones and clear expired leases; safe to run at any time.

    Returns how many cases were opened and how many leases cleared.
    """
    started = timezone.now()
    withdrawal.withdraw_replaced()
    withdrawal.withdraw_cases_of_photos_out_of_use()
    opened = opening.open_cases()
    cleared = claims.clear_expired()
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
