"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from cataract.ops.overview import worker


@shared_task  # type: ignore[untyped-decorator]
def prepare_overview(_name: str = "") -> None:
    worker.prepare_overview()


@shared_task  # type: ignore[untyped-decorator]
def prepare_month(name: str) -> None:
    worker.prepare_month(name)
