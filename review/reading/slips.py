"""Slips: an answer undone before its reader was shown the AI's leaves the case blind to that reader, once a case."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from predictions.answering.models import Disclosure
from review.cases.models import Reading, ReviewCase
from review.reading import transitions


def is_fresh(reading: Reading) -> bool:
    """Whether the answer is so new, and the AI's not shown yet, that undoing it counts as a slip."""
    return reading.ai_shown_at is None and _is_soon(reading, timezone.now())


def is_slip(reading: Reading) -> bool:
    """Whether undoing this answer now is a slip: the first one of this reader on this case, before the AI was shown."""
    undone = Reading.objects.filter(case=reading.case_id, reader=reading.reader_id, retracted_at__isnull=False)
    return is_fresh(reading) and not undone.exclude(pk=reading.pk).exists()


def shown_before(case: ReviewCase, reader: User) -> Disclosure | None:
    """When this reader was first shown an answer on this eye; None too where only a slip on this case made it known.

    An answer with which the AI agrees is recorded as shown when it is stored. The page says so only after
    REVIEW_SLIP_SECONDS, so whoever undoes it before has not been told.
    """
    seen = transitions.first_disclosure(case, reader)
    if seen is None:
        return None
    undone = list(case.readings.filter(reader=reader, retracted_at__isnull=False))
    if len(undone) != 1 or undone[0].taken_back_by_id is not None or seen.at < undone[0].blind_at:
        return seen
    slip = undone[0]
    return None if slip.ai_shown_at is None and _is_soon(slip, slip.retracted_at) else seen


def is_forgiven(case: ReviewCase, reader: User) -> bool:
    """Whether this reader undid a slip on this case and has been shown nothing else of this eye."""
    return case.readings.filter(reader=reader, retracted_at__isnull=False).exists() and not shown_before(case, reader)


def _is_soon(reading: Reading, at: datetime | None) -> bool:
    return at is not None and at - reading.blind_at < timedelta(seconds=settings.REVIEW_SLIP_SECONDS)
