"""Celery tasks; they take no arguments."""

from celery import shared_task

from training.triggers import drift_metrics, worker


@shared_task  # type: ignore[untyped-decorator]
def check_policy() -> None:
    worker.check_if_changed()


@shared_task  # type: ignore[untyped-decorator]
def log_drift() -> None:
    drift_metrics.deliver()
