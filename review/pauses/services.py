"""Pause a reader by the rule, and lift a pause. Both are recorded and audited."""

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.errors import DomainError
from review.cases.models import ReviewCase
from review.pauses import rules
from review.pauses.models import ReadingPause


class NotPaused(DomainError):
    code, status = "not_paused", 409

    def __init__(self) -> None:
        super().__init__("This reader is not paused any more. Reload the page.")


def pause_if_due(*, reader: User) -> ReadingPause | None:
    """Pause this reader if the rule says so, and give back what they have claimed. None where nothing changes."""
    last = rules.last_controls(reader)
    failed = last.count(False)
    if not settings.REVIEW_PAUSE_FAILED or failed < settings.REVIEW_PAUSE_FAILED:
        return None
    with transaction.atomic():
        counts = {"failed": failed, "of": len(last)}
        pause, is_new = ReadingPause.objects.get_or_create(reader=reader, lifted_at=None, defaults=counts)
        if not is_new:
            return None
        claimed = ReviewCase.objects.filter(claimed_by=reader, status__in=ReviewCase.OPEN)
        claimed.exclude(status=ReviewCase.Status.ADJUDICATION).update(claimed_by=None, lease_until=None)
        record(
            Act.RIGHTS_CHANGED,
            about=pause,
            user=reader,
            change="reading paused by the rule",
            failed=failed,
            of=len(last),
        )
    return pause


def lift_pause(*, pause: ReadingPause, user: User, reason: str) -> ReadingPause:
    """Let the reader read again; control cases from before do not count any more. Raises NotPaused."""
    with transaction.atomic():
        standing = ReadingPause.objects.filter(pk=pause.pk, lifted_at__isnull=True)
        if not standing.update(lifted_at=timezone.now(), lifted_by=user, reason=reason):
            raise NotPaused
        pause.refresh_from_db()
        record(Act.RIGHTS_CHANGED, about=pause, user=user, change="pause of a reader lifted", account=pause.reader_id)
    return pause
