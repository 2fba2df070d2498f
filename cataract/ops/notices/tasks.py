"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from cataract.ops.notices import worker


@shared_task  # type: ignore[untyped-decorator]
def sweep_notices() -> None:
    worker.sweep()
