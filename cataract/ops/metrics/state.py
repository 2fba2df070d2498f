"""The state of the system as Prometheus gauges, read when it is scraped: queues and their age, runs, disk, workers.

Rows are the truth, so these gauges are the same whichever process answers. Every query has an index.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from cataract.ops.backup.services import last_backup
from cataract.ops.system import ask_broker, free_bytes
from predictions.answering.models import Prediction
from predictions.drift.models import DriftSegment
from predictions.releases.models import Release
from predictions.stops.models import AiStop
from predictions.webhooks.models import WebhookDelivery
from review.cases.models import ReviewCase
from training.runs.models import TrainingRun


class SystemState(Collector):
    """One scrape. Where the database does not answer, `cataract_database_up` is 0 and what rests on rows is missing."""

    def collect(self) -> Iterator[Metric]:
        yield _gauge("cataract_disk_free_bytes", "Free bytes where photos are stored.", free_bytes(settings.PHOTO_DIR))
        yield from _backup()
        yield from _broker()
        try:
            found = [*_rows()]
        except DatabaseError:
            found, is_up = [], False
        else:
            is_up = True
        yield _gauge("cataract_database_up", "Whether the database answers.", is_up)
        yield from found


def _rows() -> Iterator[Metric]:
    now = timezone.now()
    release = Release.objects.champions().first()
    yield _gauge("cataract_champion_up", "Whether a release is in service.", release is not None)
    if release is not None:
        yield InfoMetricFamily("cataract_champion", "The release in service.", {"release": release.pk})
    stops = AiStop.objects.standing().count()
    yield _gauge("cataract_ai_stops", "Where the AI is switched off: sites, or 1 for all of them.", stops)
    queued = Prediction.objects.of_kept_photos().in_status(Prediction.Status.QUEUED)
    yield _gauge("cataract_predictions_queued", "Photos that wait for an answer of the AI.", queued.count())
    oldest = queued.order_by("created_at").values_list("created_at", flat=True).first()
    yield _gauge("cataract_predictions_oldest_seconds", "How long the oldest of them waits.", _age(oldest, now))
    open_cases = ReviewCase.objects.in_status(*ReviewCase.OPEN)
    yield _gauges("cataract_review_cases", "Open review cases by the step that is due.", "status", _counts(open_cases))
    oldest = open_cases.order_by("created_at").values_list("created_at", flat=True).first()
    yield _gauge("cataract_review_oldest_seconds", "How long the oldest open case waits.", _age(oldest, now))
    leased = open_cases.filter(lease_until__gt=now).count()
    yield _gauge("cataract_review_leases", "Open cases that somebody is reading.", leased)
    active = TrainingRun.objects.in_status(*TrainingRun.ACTIVE, TrainingRun.Status.INTERRUPTED)
    yield _gauges("cataract_training_runs", "Training runs that are not over.", "status", _counts(active))
    failed = TrainingRun.objects.in_status(TrainingRun.Status.FAILED)
    last = failed.order_by("-finished_at").values_list("finished_at", flat=True).first()
    yield _gauge("cataract_training_failed_at", "When a training run failed last, in Unix time; 0: never.", _unix(last))
    drift = _counts(DriftSegment.objects.all(), "state")
    yield _gauges("cataract_drift_segments", "What is watched for drift, by what was found.", "state", drift)
    waiting = WebhookDelivery.objects.in_status(WebhookDelivery.Status.WAITING).count()
    yield _gauge("cataract_webhooks_waiting", "Deliveries that a receiver has not taken yet.", waiting)


def _backup() -> Iterator[Metric]:
    last = last_backup()
    if last is not None:
        yield _gauge("cataract_backup_age_seconds", "How old the last verified backup is.", last.age_hours * 3600)


def _broker() -> Iterator[Metric]:
    found = ask_broker()
    queues, workers = found["queues"], found["workers"]
    yield _gauge("cataract_broker_up", "Whether the broker answers.", queues is not None)
    yield _gauge("cataract_workers", "Workers that answer.", len(workers or ()))
    yield _gauges("cataract_broker_messages", "Messages that wait, by queue.", "queue", queues or {})


def _counts(rows: Any, by: str = "status") -> dict[str, int]:
    return dict(rows.order_by().values_list(by).annotate(Count("pk")))


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _unix(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _gauges(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
