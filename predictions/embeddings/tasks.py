"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from predictions.embeddings import worker


@shared_task  # type: ignore[untyped-decorator]
def sweep_embeddings() -> None:
    worker.sweep()
