"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from review.agreement import worker


@shared_task  # type: ignore[untyped-decorator]
def prepare_figures(days: str) -> None:
    worker.prepare_figures(days)
