"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from predictions.drift import worker


@shared_task  # type: ignore[untyped-decorator]
def watch_for_drift() -> None:
    worker.watch()
