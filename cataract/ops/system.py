"""System state: queues, latency, stored rows, disk. No measurement blocks for long."""

import platform
import shutil
import threading
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from celery import current_app
from django import get_version
from django.conf import settings
from django.db.models import Min
from django.utils import timezone

from cataract.core.broker.server import connect
from predictions.answering.models import Prediction
from predictions.batches.models import Batch
from predictions.releases.models import Release
from predictions.webhooks.models import WebhookDelivery

LAST = 500  # answers whose times are counted
_QUEUES = ("predict", "train", "default")
_BROKER_SECONDS = 2.5


def system_state() -> dict[str, Any]:
    """Everything that `GET /system` returns. The broker has 2.5 s to answer; otherwise its fields are null."""
    now = timezone.now()
    queued = Prediction.objects.of_kept_photos().in_status(Prediction.Status.QUEUED)
    oldest = queued.aggregate(at=Min("created_at"))["at"]
    done = Prediction.objects.in_status(Prediction.Status.DONE)
    totals = [row["total"] for row in done.values_list("timings", flat=True)[:LAST] if "total" in row]
    last_minutes = done.filter(done_at__gte=now - timedelta(minutes=5)).count()
    return {
        "release": Release.objects.champions().values_list("pk", flat=True).first(),
        "versions": versions(),
        "queued": queued.count(),
        "oldest_queued_seconds": None if oldest is None else max(0.0, (now - oldest).total_seconds()),
        "answered_last_hour": done.filter(done_at__gte=now - timedelta(hours=1)).count(),
        "answers_per_second": round(last_minutes / 300, 4),
        "failed": Prediction.objects.of_kept_photos().in_status(Prediction.Status.FAILED).count(),
        "milliseconds": percentiles(totals),
        "milliseconds_of": len(totals),
        "batches_running": Batch.objects.in_status(Batch.Status.RUNNING).count(),
        "webhooks_waiting": WebhookDelivery.objects.in_status(WebhookDelivery.Status.WAITING).count(),
        "memory_bytes": {
            "process": psutil.Process().memory_info().rss,
            "available": psutil.virtual_memory().available,
        },
        "disk_free_bytes": free_bytes(settings.PHOTO_DIR),
        **ask_broker(),
    }


def percentiles(milliseconds: list[float]) -> dict[str, float | None]:
    """The median, the 95th and the 99th percentile; None when the list is empty."""
    return {
        f"p{share}": round(float(np.percentile(milliseconds, share)), 2) if milliseconds else None
        for share in (50, 95, 99)
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the main libraries."""
    return {
        "python": platform.python_version(),
        "django": get_version(),
        "onnxruntime": version("onnxruntime"),
        "lightgbm": version("lightgbm"),
    }


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder that may not exist yet."""
    return shutil.disk_usage(nearest_existing(Path(folder))).free


def ask_broker() -> dict[str, Any]:
    """Messages by queue and the workers that answer; both null when the broker does not answer in time."""
    found: dict[str, Any] = {"queues": None, "workers": None}

    def ask() -> None:
        try:
            with connect(settings.CELERY_BROKER_URL, timeout=1) as client:
                found["queues"] = {queue: int(str(client.llen(queue))) for queue in _QUEUES}
            found["workers"] = sorted(current_app.control.inspect(timeout=1).ping() or {})
        except Exception:  # down, stopped or slow: null says that nothing is known
            return

    asking = threading.Thread(target=ask, name="ask-broker", daemon=True)
    asking.start()
    asking.join(_BROKER_SECONDS)
    return dict(found)


def nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest of its parents that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
