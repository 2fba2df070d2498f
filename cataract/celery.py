"""The Celery application. Tasks are in each room's `tasks.py`; their arguments are primary keys."""

import os
import signal
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import (
    beat_embedded_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
)
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep

from cataract.core.locks import AlreadyRunning, take_lock
from cataract.core.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")

app = Celery("cataract")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect  # type: ignore[untyped-decorator]
def keep_the_log_of_the_settings(**_: Any) -> None:
    """Workers log as every other process does, not in Celery's own format."""


@task_prerun.connect  # type: ignore[untyped-decorator]
def begin_task(task: Any, **_: Any) -> None:
    """Remember when the task began."""
    task.request.began = time.perf_counter()


@task_postrun.connect  # type: ignore[untyped-decorator]
def count_task(task: Any, state: str | None = None, **_: Any) -> None:
    """Count the task and its time for Prometheus."""
    from cataract.core.metrics import TASK_SECONDS, TASKS  # only after Django is set up

    TASKS.labels(task.name, state or "unknown").inc()
    TASK_SECONDS.labels(task.name).observe(time.perf_counter() - getattr(task.request, "began", time.perf_counter()))


@worker_init.connect  # type: ignore[untyped-decorator]
def refuse_second_embedded_worker(sender: Any, **_: Any) -> None:
    """The embedded default has one worker with one beat. With REDIS_URL any number may run."""
    if not settings.EMBEDDED_BROKER:
        return
    try:
        sender.embedded_lock = take_lock(settings.DATA_DIR / "run" / "worker.lock")
    except AlreadyRunning as error:
        raise SystemExit(
            f"A worker (process {error.pid}) already runs on {settings.DATA_DIR}. "
            "Set REDIS_URL to run several, or DATA_DIR to run another system."
        ) from None


@worker_init.connect  # type: ignore[untyped-decorator]
def answer_scrapes(**_: Any) -> None:
    """Show what this worker and its pool counted at WORKER_METRICS_PORT, where that is set."""
    if settings.WORKER_METRICS_PORT:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        start_http_server(settings.WORKER_METRICS_PORT, registry=registry)


@beat_embedded_init.connect  # type: ignore[untyped-decorator]
@worker_process_init.connect  # type: ignore[untyped-decorator]
def end_with_the_worker(**_: Any) -> None:
    """End pool processes and beat with their worker: after a kill its tasks go to another worker."""
    die_with_parent(signal.SIGKILL)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def have_the_champion_ready(**_: Any) -> None:
    """Load the champion, in a thread, where workers answer uploads."""
    if settings.INFERENCE == "celery":
        from predictions.releases import serving  # only after Django is set up

        threading.Thread(target=serving.warm_up, name="warm-up", daemon=True).start()
