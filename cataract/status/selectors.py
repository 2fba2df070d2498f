"""What the status page shows. Nothing here waits for a broker, a worker or a disk: workers note what takes time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone

from cataract.core import prepared
from cataract.ops import doctor, system
from cataract.ops.backup.services import last_backup
from cataract.ops.notices.models import Notice
from cataract.ops.signs_of_life import Signs
from cataract.status import worker
from predictions.answering.models import Prediction
from predictions.batches.models import Batch
from predictions.releases.models import Release
from predictions.webhooks.models import WebhookDelivery
from review.cases.models import ReviewCase
from review.queue.policy import overdue_after
from training.runs.models import TrainingRun

_MESSAGES = {"predict": "Messages to answer photos", "train": "Messages to train", "default": "Other messages"}


@dataclass(frozen=True)
class Queue:
    """What waits, how long the oldest has waited, and whether that is too long."""

    name: str
    waiting: int
    oldest: datetime | None = None
    is_late: bool = False
    url: str = ""


@dataclass(frozen=True)
class Problem:
    """What is wrong, in words, and what to do about it."""

    title: str
    cure: str


def problems(signs: Signs, findings: Sequence[dict[str, Any]]) -> list[Problem]:
    """What no worker can tell of, because none works, and the errors that the doctor found last."""
    found = []
    if signs.at is None:
        found.append(Problem("No worker has reported yet.", f"One does within a minute of its start. {_START}"))
    elif not signs.alive:
        minutes = int((timezone.now() - signs.at).total_seconds() // 60)
        silent = f"No worker has reported for {minutes} minutes: photos wait, and nothing is checked."
        found.append(Problem(silent, _START))
    elif signs.queues is None:
        found.append(Problem("The broker did not answer the worker.", "Look at the log of the broker."))
    return found + [Problem(_plain(row["message"]), _plain(row["cure"])) for row in findings if row["level"] == "error"]


def _plain(words: str) -> str:
    """The words of a terminal without its marks around commands."""
    return words.replace("`", "")


_START = "Start the system (manage.py up), or the worker's service; then read the end of its log."


def queues(signs: Signs) -> list[Queue]:
    """Every queue: rows that wait, then messages that wait in the broker."""
    now = timezone.now()
    soon = now - doctor.WAITS_TOO_LONG
    photos = Prediction.objects.of_kept_photos().in_status(Prediction.Status.QUEUED)
    cases = ReviewCase.objects.of_photos_in_use().filter(kind=ReviewCase.Kind.CASE, status__in=ReviewCase.OPEN)
    runs = TrainingRun.objects.in_status(TrainingRun.Status.QUEUED)
    batches = Batch.objects.in_status(Batch.Status.RUNNING)
    hooks = WebhookDelivery.objects.in_status(WebhookDelivery.Status.WAITING)
    deliveries = reverse("admin:predictions_webhookdelivery_changelist")
    listed = f"{reverse('predictions:list')}?{urlencode({'state': Prediction.State.QUEUED})}"
    found = [
        _queue("Photos for the AI", photos, soon, listed),
        _queue("Cases for readers", cases, now - overdue_after(), reverse("review:worklist")),
        _queue("Training runs", runs, soon, reverse("admin:training_trainingrun_changelist")),
        _queue("Batches", batches, now - timedelta(days=1), reverse("predictions:batches")),
        _queue("Webhook deliveries", hooks, now - timedelta(hours=1), deliveries),
    ]
    return found + [Queue(_MESSAGES.get(name, name), n) for name, n in (signs.queues or {}).items()]


def _queue(name: str, rows: Any, late_before: datetime, url: str) -> Queue:
    counted = rows.order_by().aggregate(n=Count("pk"), oldest=Min("created_at"))
    oldest = counted["oldest"]
    return Queue(name, counted["n"], oldest, oldest is not None and oldest < late_before, url)


def facts() -> list[tuple[str, str, bool]]:
    """Name, value in words, and whether it is as it should be."""
    champion = Release.objects.champions().first()
    free = min(system.free_bytes(settings.PHOTO_DIR), system.free_bytes(settings.DATA_DIR))
    versions = ", ".join(f"{name} {number}" for name, number in system.versions().items())
    mail = "new notices are mailed to admins" if settings.SENDS_MAIL else "off (EMAIL_URL); notices are seen here only"
    return [
        ("Release in service", champion.pk if champion else f"none. {doctor.NO_CHAMPION_CURE}", champion is not None),
        ("Last backup", *_backup()),
        ("Free disk space", f"{free / 1e9:,.1f} GB", free >= doctor.LOW_DISK_BYTES),
        ("Database", connection.vendor, True),
        ("Mail", mail, True),
        ("Versions", versions, True),
    ]


def _backup() -> tuple[str, bool]:
    last = last_backup()
    if last is None:
        return "none. Set BACKUP_REPOSITORY, or run `manage.py backup FOLDER`.", False
    is_old = bool(settings.BACKUP_REPOSITORY) and last.age_hours > doctor.BACKUP_HOURS
    return f"{last.snapshot}, {last.age_hours:.0f} hours ago", not is_old


def examination() -> prepared.Part:
    """What the doctor found last, and whether a worker is at it."""
    return prepared.stored_part(worker.NAME)


def failed_photos() -> int:
    """Photos that a worker gave up on and that can be tried again."""
    return Prediction.objects.of_kept_photos().in_status(Prediction.Status.FAILED).count()


def interrupted_runs() -> list[TrainingRun]:
    return list(TrainingRun.objects.in_status(TrainingRun.Status.INTERRUPTED)[:10])


def open_notices() -> list[Notice]:
    """With their owners and who has seen them: two queries."""
    return list(Notice.objects.open().select_related("owner").prefetch_related("seen_by"))


def headline(problems: Sequence[Problem], notices: Sequence[Notice]) -> str:
    """The one sentence of the page."""
    count = len(problems) + len(notices)
    return f"{count} thing{' needs' if count == 1 else 's need'} somebody." if count else "Everything works."
