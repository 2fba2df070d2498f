"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from cataract.ops.audit import worker


@shared_task  # type: ignore[untyped-decorator]
def seal_audit() -> None:
    worker.seal()


@shared_task  # type: ignore[untyped-decorator]
def verify_audit() -> None:
    worker.verify_and_keep_head()
