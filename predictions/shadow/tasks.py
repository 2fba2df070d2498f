"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from predictions.shadow import worker


@shared_task  # type: ignore[untyped-decorator]
def score_in_shadow() -> None:
    worker.sweep()
