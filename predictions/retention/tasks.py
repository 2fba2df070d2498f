"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from predictions.retention import worker


@shared_task  # type: ignore[untyped-decorator]
def purge(deletion_id: str) -> None:
    worker.purge(deletion_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    worker.sweep()


@shared_task  # type: ignore[untyped-decorator]
def apply_retention() -> None:
    worker.apply_retention()
