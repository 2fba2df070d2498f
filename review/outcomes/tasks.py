"""Celery tasks; the work is in `labelling`."""

from celery import shared_task

from review.outcomes import labelling


@shared_task  # type: ignore[untyped-decorator]
def label_photos() -> None:
    labelling.label_photos()
