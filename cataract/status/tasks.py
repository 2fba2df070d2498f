"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from cataract.status import worker


@shared_task  # type: ignore[untyped-decorator]
def examine_system(_name: str = "") -> None:
    worker.examine_system()
