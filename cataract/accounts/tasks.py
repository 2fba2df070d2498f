"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from cataract.accounts import worker


@shared_task  # type: ignore[untyped-decorator]
def sweep_sessions() -> None:
    worker.sweep_sessions()
