"""Celery tasks; they take no arguments."""

import logging

from celery import shared_task

from cataract.ops.backup import services

log = logging.getLogger(__name__)


@shared_task  # type: ignore[untyped-decorator]
def back_up_nightly() -> None:
    """Make the backup of this night, where a repository is configured."""
    repository = services.configured_repository()
    if repository is not None:
        last = services.back_up(repository)
        log.info("Backup %s: %.1f MB are new", last.snapshot, last.added_bytes / 1e6)
