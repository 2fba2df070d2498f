"""Celery tasks; the work is in `worker`."""

from celery import shared_task

from review.acceptance import worker


@shared_task  # type: ignore[untyped-decorator]
def judge_sites() -> None:
    worker.judge_if_changed()


@shared_task  # type: ignore[untyped-decorator]
def judge_release(release_id: str) -> None:
    worker.judge_release(release_id)
