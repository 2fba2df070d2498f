"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from training.imports import worker


@shared_task  # type: ignore[untyped-decorator]
def run_import(import_id: str) -> None:
    worker.run_import(import_id)


@shared_task  # type: ignore[untyped-decorator]
def sweep_imports() -> None:
    worker.sweep(publish=run_import.delay)
