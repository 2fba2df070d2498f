"""Celery tasks; they take no arguments."""

from celery import shared_task

from training.triggers import worker


@shared_task  # type: ignore[untyped-decorator]
def check_policy() -> None:
    worker.check_if_changed()
