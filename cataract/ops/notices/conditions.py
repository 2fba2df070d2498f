"""What is wrong in the system at this moment, as findings that notices are opened for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import Count, Exists, OuterRef
from django.db.models.functions import TruncDate
from django.utils import timezone

from cataract.core.audit.models import Act, AuditEntry
from cataract.core.record import unprotected
from cataract.core.tokens import ending_soon
from cataract.ops.backup.services import last_backup
from cataract.ops.doctor import BACKUP_HOURS, LOW_DISK_BYTES
from cataract.ops.notices.models import Notice
from cataract.ops.system import free_bytes
from predictions.acceptance.models import Acceptance
from predictions.answering.models import FinalResult, Prediction
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.drift.services import accurate_checks
from predictions.drift.wording import drift_words
from predictions.releases.models import Release
from predictions.stops.models import AiStop
from review.cases.models import ReviewCase
from review.queue.policy import overdue_after
from training.runs.models import TrainingRun

LOOKS_BACK: Final = timedelta(days=30)  # older failures are history
CHECKS_OF: Final = timedelta(days=28)
WAITS_TOO_LONG: Final = timedelta(minutes=10)
UNANSWERED_OF: Final = timedelta(hours=1)  # photos that no release answered, which say that none can


@dataclass(frozen=True)
class Finding:
    """One cause. `key` names it among those of its kind; `detail` is a short text without data of patients."""

    kind: Notice.Kind
    key: str
    detail: str


def current() -> Iterator[Finding]:
    """Everything that is wrong now."""
    yield from stops_of_the_ai()
    yield from failed_runs()
    yield from drift()
    yield from disagreements()
    yield from late_queue()
    yield from failed_predictions()
    yield from lost_acceptances()
    yield from broken_record()
    yield from ending_keys()
    yield from late_predictions()
    yield from missing_release()
    yield from old_backup()
    yield from full_disk()


def stops_of_the_ai() -> Iterator[Finding]:
    """Where the AI is switched off."""
    for stop in AiStop.objects.standing().select_related("site"):
        yield Finding(Notice.Kind.AI_STOPPED, str(stop.pk), f"{stop.where.capitalize()}: {stop.reason}"[:300])


def failed_runs() -> Iterator[Finding]:
    """Failed training runs after which no run of the same kind was started, or is still running."""
    later = TrainingRun.objects.filter(
        kind=OuterRef("kind"),
        created_at__gt=OuterRef("created_at"),
        status__in=[*TrainingRun.ACTIVE, TrainingRun.Status.SUCCEEDED],
    )
    since = timezone.now() - LOOKS_BACK
    runs = TrainingRun.objects.in_status(TrainingRun.Status.FAILED).filter(~Exists(later), created_at__gte=since)
    for run in runs:
        reason = run.error.strip().splitlines()[0] if run.error.strip() else "no reason given"
        yield Finding(Notice.Kind.RUN_FAILED, str(run.pk), f"{run.get_kind_display().capitalize()}: {reason}")


def drift() -> Iterator[Finding]:
    """What has drifted for sure: all photos, a site, or a device."""
    drifted = DriftSegment.objects.drifted().named()
    newest = DriftCheck.objects.looks().newest_of(drifted)
    for segment in drifted:
        yield Finding(Notice.Kind.DRIFT, str(segment.pk), drift_words(segment, newest.get(segment.pk)))


def disagreements() -> Iterator[Finding]:
    """The accurate model contradicts more sure answers of the champion's fast model than ACCURATE_CHECK_LIMIT.

    Beyond chance: the lower end of the 95 % interval is above the limit.
    """
    checks = accurate_checks(since=timezone.now() - CHECKS_OF)
    if checks.interval[0] > settings.ACCURATE_CHECK_LIMIT:
        words = f"{checks.disagreed} of {checks.photos} checked answers in {CHECKS_OF.days} days"
        yield Finding(
            Notice.Kind.MODELS_DISAGREE, "checks", f"{words}; {settings.ACCURATE_CHECK_LIMIT:.0%} are expected at most"
        )


def late_queue() -> Iterator[Finding]:
    """Open cases older than the agreed time, REVIEW_AGREED_HOURS."""
    late = ReviewCase.objects.filter(
        kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN, created_at__lt=timezone.now() - overdue_after()
    ).count()
    if late:
        words = f"{late} case{'s have' if late != 1 else ' has'} waited for more than"
        yield Finding(Notice.Kind.QUEUE_LATE, "queue", f"{words} {settings.REVIEW_AGREED_HOURS:g} hours")


def failed_predictions() -> Iterator[Finding]:
    """Failed predictions that nobody has answered, one finding a day."""
    told = FinalResult.objects.standing().filter(prediction=OuterRef("pk"))
    failed = Prediction.objects.in_status(Prediction.Status.FAILED).filter(
        ~Exists(told), created_at__gte=timezone.now() - LOOKS_BACK
    )
    days = failed.order_by().annotate(day=TruncDate("created_at")).values("day").annotate(photos=Count("pk"))
    for row in days.order_by("day"):
        photos = row["photos"]
        words = f"{photos} photo{'s' if photos != 1 else ''} sent on {row['day']}"
        yield Finding(Notice.Kind.PREDICTIONS_FAILED, str(row["day"]), words)


def lost_acceptances() -> Iterator[Finding]:
    """Sides of the serving release that the evidence has withdrawn, while nothing newer was decided about them."""
    champions = Release.objects.champions().values_list("pk", flat=True)
    sites = Acceptance.objects.filter(release__in=champions).values_list("site", flat=True).distinct()
    for row in Acceptance.objects.standing(releases=champions, sites=sites).values():
        if not row.accepted and row.basis == Acceptance.Basis.EVIDENCE and row.at >= timezone.now() - LOOKS_BACK:
            where = f"{row.site}, {row.device}" if row.device else str(row.site)
            yield Finding(Notice.Kind.ACCEPTANCE_LOST, str(row.pk), f"{where}: {row.get_side_display()}. {row.reason}")


def broken_record() -> Iterator[Finding]:
    """The last verification of the audit log found faults, or the triggers that keep the record are gone."""
    last = AuditEntry.objects.filter(act__in=[Act.CHAIN_VERIFIED, Act.CHAIN_BROKEN]).first()
    if last is not None and last.act == Act.CHAIN_BROKEN:
        yield Finding(Notice.Kind.AUDIT_BROKEN, str(last.pk), f"Faults found: {last.detail['count']}.")
    if tables := unprotected(connection):
        yield Finding(Notice.Kind.AUDIT_BROKEN, "triggers", f"Tables without their triggers: {', '.join(tables)}.")


def ending_keys() -> Iterator[Finding]:
    """Keys that end within two weeks and were used in the last month: whatever uses one stops working then."""
    used = ending_soon().filter(last_used_at__gte=timezone.now() - LOOKS_BACK).select_related("user")
    for key in used:
        words = f"{key.name} of {key.user.get_username()} ends on {key.expires_at:%Y-%m-%d}"
        yield Finding(Notice.Kind.KEY_ENDS, str(key.pk), words)


def late_predictions() -> Iterator[Finding]:
    """Photos that have waited for an answer of the AI since WAITS_TOO_LONG."""
    queued = Prediction.objects.of_kept_photos().in_status(Prediction.Status.QUEUED)
    late = queued.filter(created_at__lt=timezone.now() - WAITS_TOO_LONG).order_by("created_at")
    oldest = late.values_list("created_at", flat=True).first()
    if oldest is not None:
        words = f"{late.count()} waiting, the oldest since {timezone.localtime(oldest):%Y-%m-%d %H:%M}"
        yield Finding(Notice.Kind.PREDICTIONS_LATE, "queue", words)


def missing_release() -> Iterator[Finding]:
    """No release serves; or one should, and photos of the last hour got no answer although it did."""
    since, champion = timezone.now() - UNANSWERED_OF, Release.objects.champions().first()
    if champion is not None and champion.promoted_at is not None:
        since = max(since, champion.promoted_at)
    recent = Prediction.objects.in_status(Prediction.Status.DONE).filter(release__isnull=True, done_at__gte=since)
    unanswered = recent.count()
    if champion is None:
        if unanswered or Release.objects.filter(promoted_at__isnull=False).exists():
            yield Finding(Notice.Kind.NO_CHAMPION, "champion", "Every photo waits for a clinician.")
    elif unanswered:
        words = f"{unanswered} photo{'s' if unanswered != 1 else ''} of the last hour went to clinicians unanswered."
        yield Finding(Notice.Kind.RELEASE_DEGRADED, "champion", words)


def old_backup() -> Iterator[Finding]:
    """The nightly backup, where one is configured, is missing or older than BACKUP_HOURS."""
    if not settings.BACKUP_REPOSITORY:
        return
    last = last_backup()
    if last is None:
        yield Finding(Notice.Kind.BACKUP, "backup", "There is no backup yet.")
    elif last.age_hours > BACKUP_HOURS:
        yield Finding(Notice.Kind.BACKUP, "backup", f"The last one is {last.age_hours / 24:.1f} days old.")


def full_disk() -> Iterator[Finding]:
    """Less than LOW_DISK_BYTES are free where photos and data are."""
    free = min(free_bytes(settings.PHOTO_DIR), free_bytes(settings.DATA_DIR))
    if free < LOW_DISK_BYTES:
        yield Finding(Notice.Kind.DISK, "disk", f"{free / 1e6:.0f} MB are free.")
