"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from training.label_checks import worker


@shared_task  # type: ignore[untyped-decorator]
def check_labels(check_id: str) -> None:
    worker.run_check(check_id)
