"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from predictions.photos import worker


@shared_task  # type: ignore[untyped-decorator]
def compare_photos() -> None:
    worker.sweep()
