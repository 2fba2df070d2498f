"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from predictions.answering import worker


@shared_task  # type: ignore[untyped-decorator]
def predict(prediction_id: str) -> None:
    worker.run_prediction(prediction_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    worker.sweep()
