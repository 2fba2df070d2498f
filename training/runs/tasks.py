"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from training.runs import previews
from training.runs import worker as runs_worker


@shared_task  # type: ignore[untyped-decorator]
def run_training(run_id: str) -> None:
    runs_worker.run(run_id)


@shared_task  # type: ignore[untyped-decorator]
def prepare_preview(name: str) -> None:
    previews.prepare_preview(name)


@shared_task  # type: ignore[untyped-decorator]
def sweep() -> None:
    runs_worker.sweep(publish=lambda run_id: run_training.apply_async((run_id,), expires=60))
