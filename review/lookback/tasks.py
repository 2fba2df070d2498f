"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from review.lookback import worker


@shared_task  # type: ignore[untyped-decorator]
def sweep_look_backs() -> None:
    worker.sweep()
