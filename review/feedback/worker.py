"""Write the quality notes of the last whole week, for readers with enough cases."""

from datetime import date, datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from review.cases.models import Reading, ReviewCase
from review.feedback import selectors
from review.feedback.models import QualityNote


def write_notes() -> int:
    """Write the notes of the week that ended last Sunday; returns how many are new. Safe to repeat."""
    today = timezone.localdate()
    monday = today - timedelta(days=today.weekday() + 7)
    start = timezone.make_aware(datetime.combine(monday, datetime.min.time()))
    week = (start, start + timedelta(days=7))
    readers = Reading.objects.filter(blind_at__gte=week[0], blind_at__lt=week[1]).values("reader")
    known = QualityNote.objects.filter(week=monday).values("reader")
    return sum(_write(reader, monday, week) for reader in User.objects.filter(pk__in=readers).exclude(pk__in=known))


def _write(reader: User, monday: date, week: tuple[datetime, datetime]) -> bool:
    read = selectors.resolved_readings(reader).filter(blind_at__gte=week[0], blind_at__lt=week[1])
    n = read.count()
    if n < settings.REVIEW_NOTE_CASES:
        return False
    compared = read.filter(selectors.read_by_another(reader))
    controls = Reading.objects.standing().filter(
        reader=reader, case__kind=ReviewCase.Kind.CONTROL, blind_at__gte=week[0], blind_at__lt=week[1]
    )
    _, is_new = QualityNote.objects.get_or_create(
        reader=reader,
        week=monday,
        defaults={
            "readings": n,
            "agreed": compared.filter(blind_answer=F("result")).count(),
            "compared": compared.count(),
            "controls_right": controls.filter(blind_answer=F("case__known_answer")).count(),
            "controls": controls.count(),
        },
    )
    return is_new
