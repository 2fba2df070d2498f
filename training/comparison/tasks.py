"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from training.comparison import worker


@shared_task  # type: ignore[untyped-decorator]
def compare_releases(challenger_id: str) -> None:
    worker.compare_with_champion(challenger_id)
