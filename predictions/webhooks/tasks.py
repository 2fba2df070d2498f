"""The wire: ids in, nothing out. The work is in `worker`."""

from celery import shared_task

from predictions.webhooks import delivery


@shared_task  # type: ignore[untyped-decorator]
def send_webhooks() -> None:
    delivery.send_due()
