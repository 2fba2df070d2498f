"""Celery tasks; arguments are primary keys. The work is in `worker`."""

from celery import shared_task

from predictions.batches import worker


@shared_task  # type: ignore[untyped-decorator]
def run_batch(batch_id: str) -> None:
    if worker.run_batch(batch_id):
        run_batch.delay(batch_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep_batches() -> None:
    worker.sweep()
