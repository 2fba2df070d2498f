"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from review.queue import worker


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    worker.sweep()
