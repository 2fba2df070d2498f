"""Show a reader what became of their cases; a note that was opened is no news."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.utils import timezone

from predictions.answering.disclosures import record_shown
from review.cases.models import Reading
from review.feedback.models import QualityNote


def show_results(*, readings: Sequence[Reading], reader: User) -> None:
    """Record that this reader is shown the final results of these readings."""
    record_shown(predictions=[each.case.prediction for each in readings if each.case.prediction], user=reader)


def mark_seen(*, note: QualityNote) -> None:
    """Note that its reader opened it."""
    QualityNote.objects.filter(pk=note.pk, seen_at__isnull=True).update(seen_at=timezone.now())
