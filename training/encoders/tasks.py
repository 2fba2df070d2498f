"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from training.encoders import worker


@shared_task  # type: ignore[untyped-decorator]
def make_encoder(change_id: str) -> None:
    worker.make_encoder(change_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep_encoders() -> None:
    worker.sweep(publish=make_encoder.delay)
