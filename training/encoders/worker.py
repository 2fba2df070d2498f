"""Make the base release that an encoder change asks for."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from cataract.core.errors import DomainError
from training.encoders.models import EncoderChange
from training.runs.base_releases import make_base

LOST = timedelta(hours=2)  # a download of some gigabytes says nothing meanwhile
_UNCLAIMED = timedelta(minutes=1)
_log = logging.getLogger(__name__)


def make_encoder(change_id: str) -> None:
    """Make one queued base release. Safe to deliver twice: only one delivery claims it."""
    rows = EncoderChange.objects.filter(pk=change_id)
    if not rows.move(EncoderChange.Status.RUNNING, heard_at=timezone.now()):
        return
    change = rows.get()

    def say(line: str) -> None:
        rows.in_status(EncoderChange.Status.RUNNING).update(stage=line[:200], heard_at=timezone.now())

    try:
        release = make_base(arch=change.architecture, tag=change.weights, image_size=change.image_size, say=say)
    except (DomainError, OSError) as error:
        _log.warning("Encoder change %s failed: %s", change_id, error)
        rows.move(EncoderChange.Status.FAILED, finished_at=timezone.now(), error=str(error) or type(error).__name__)
        return
    rows.move(EncoderChange.Status.DONE, finished_at=timezone.now(), release=release, stage="")


def sweep(*, publish: Callable[[str], Any]) -> None:
    """Publish changes that nobody took, and fail those whose worker was lost; a new one can then start."""
    now = timezone.now()
    lost = EncoderChange.objects.in_status(EncoderChange.Status.RUNNING).filter(heard_at__lt=now - LOST)
    lost.move(EncoderChange.Status.FAILED, finished_at=now, error="Its worker was lost. Ask for it again.")
    queued = EncoderChange.objects.in_status(EncoderChange.Status.QUEUED)
    for pk in queued.filter(created_at__lt=now - _UNCLAIMED).values_list("pk", flat=True):
        publish(str(pk))
