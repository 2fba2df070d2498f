"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from predictions.answering import inference


@shared_task  # type: ignore[untyped-decorator]
def predict(prediction_id: str) -> None:
    inference.run_prediction(prediction_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    inference.sweep()
