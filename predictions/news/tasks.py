"""Celery tasks; arguments are primary keys."""

from celery import shared_task

from predictions.news import worker


@shared_task  # type: ignore[untyped-decorator]
def mail_news() -> None:
    worker.send_mails()
