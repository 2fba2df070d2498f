"""Nobody needs to read a photo that its sender has withdrawn."""

from review.cases.models import ReviewCase


def withdraw_cases_of_withdrawn_photos() -> int:
    """Withdraw the open cases of photos that were sent by mistake, claimed or not; returns how many."""
    needless = ReviewCase.objects.filter(status__in=ReviewCase.OPEN, image__withdrawn_at__isnull=False)
    return needless.move(ReviewCase.Status.WITHDRAWN, claimed_by=None, lease_until=None, assigned_to=None)
