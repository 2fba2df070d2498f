"""The Celery application. Tasks are in each room's `tasks.py`; their arguments are primary keys."""

import os
import signal
import threading
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, worker_init, worker_process_init
from django.conf import settings

from cataract.core.locks import AlreadyRunning, take_lock
from cataract.core.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cataract.settings")

app = Celery("cataract")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


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
