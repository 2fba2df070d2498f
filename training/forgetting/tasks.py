"""Celery tasks; they take no arguments."""

from celery import shared_task

from training.forgetting import worker


@shared_task  # type: ignore[untyped-decorator]
def forget() -> None:
    worker.forget()
