"""The wire: ids in, nothing out. The work is in `worker`."""

from celery import shared_task

from predictions import worker


@shared_task
def predict(prediction_id: str) -> None:
    worker.run_prediction(prediction_id)


@shared_task
def sweep() -> None:
    worker.sweep()
