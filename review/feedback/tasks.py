"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from review.feedback import worker


@shared_task  # type: ignore[untyped-decorator]
def write_notes() -> None:
    worker.write_notes()
