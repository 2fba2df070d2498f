"""Celery tasks; the work is in `delivery`."""

from celery import shared_task

from predictions.webhooks import delivery


@shared_task  # type: ignore[untyped-decorator]
def send_webhooks() -> None:
    delivery.send_due()
