"""Withdraw cases that nobody has to read: the photo was retaken well, withdrawn by its sender, or purged."""

from uuid import UUID

from django.db import transaction
from django.db.models import Q

from predictions.photos.models import EyeImage
from review.cases.models import Reading, ReviewCase
from review.queue import policy


def withdraw_replaced(limit: int = 1000) -> int:
    """Withdraw the replaced cases that nobody has answered; returns how many. Safe to run twice.

    The queue stops offering such a case as soon as its retake is answered (`policy.readable`); this writes it down.
    """
    replaced = ReviewCase.objects.filter(policy.is_replaced()).order_by("created_at")
    return sum(_withdraw(case_id) for case_id in replaced.values_list("pk", flat=True)[:limit])


def withdraw_cases_of_photos_out_of_use() -> int:
    """Withdraw the open cases of photos that were sent by mistake or purged, claimed or not; returns how many."""
    gone = Q(image__withdrawn_at__isnull=False) | Q(image__status=EyeImage.Status.PURGED)
    needless = ReviewCase.objects.filter(gone, status__in=ReviewCase.OPEN)
    return needless.move(ReviewCase.Status.WITHDRAWN, claimed_by=None, lease_until=None, assigned_to=None)


def _withdraw(case_id: UUID) -> bool:
    """Withdraw one case and end its claim, unless a reader has answered meanwhile.

    The condition of the UPDATE uses only the row's own columns. While a reader's answer is being stored, it waits for
    the row; the next statement then sees that answer, and the withdrawal is undone.
    """
    with transaction.atomic():
        moved = ReviewCase.objects.filter(pk=case_id).move(
            ReviewCase.Status.WITHDRAWN, claimed_by=None, lease_until=None, assigned_to=None
        )
        if moved and Reading.objects.filter(case=case_id).exists():
            transaction.set_rollback(True)
            return False
    return bool(moved)
