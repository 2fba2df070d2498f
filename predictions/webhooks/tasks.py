"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from predictions.webhooks import worker


@shared_task  # type: ignore[untyped-decorator]
def send_webhooks() -> None:
    worker.send_due()
