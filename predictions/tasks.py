"""The wire: ids in, nothing out. The work is in `worker`."""

from celery import shared_task

from predictions import batch_worker, embeddings, shadow, webhooks, worker


@shared_task  # type: ignore[untyped-decorator]
def predict(prediction_id: str) -> None:
    worker.run_prediction(prediction_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    worker.sweep()


@shared_task  # type: ignore[untyped-decorator]
def run_batch(batch_id: str) -> None:
    if batch_worker.run_batch(batch_id):
        run_batch.delay(batch_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep_batches() -> None:
    batch_worker.sweep()


@shared_task  # type: ignore[untyped-decorator]
def send_webhooks() -> None:
    webhooks.send_due()


@shared_task  # type: ignore[untyped-decorator]
def score_in_shadow() -> None:
    shadow.sweep()


@shared_task  # type: ignore[untyped-decorator]
def sweep_embeddings() -> None:
    embeddings.sweep()
