"""Whether an upload would be taken now: all it needs, asked cheaply enough for a proxy that asks every second."""

from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError, connection

from cataract.ops.system import free_bytes
from predictions.answering.models import Prediction
from predictions.releases import serving

OK = "ok"
_ROOM_BYTES = 100_000_000  # a photo, its row, and what a database needs to go on


def checks() -> dict[str, str]:
    """{need: OK, or what is wrong}. Only `release` may be wrong and photos still be taken: people then answer."""
    return dict(_checks())


def status(found: dict[str, str]) -> str:
    """`ready`; `degraded`: photos are taken and only people answer; `unavailable`: they are refused."""
    if any(said != OK for need, said in found.items() if need != "release"):
        return "unavailable"
    return "ready" if found["release"] == OK else "degraded"


def _checks() -> Iterator[tuple[str, str]]:
    free = min(free_bytes(settings.PHOTO_DIR), free_bytes(settings.DATA_DIR))
    yield "disk", OK if free >= _ROOM_BYTES else f"only {free / 1e6:.0f} MB are free"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        waiting = Prediction.objects.in_status(Prediction.Status.QUEUED)[: settings.MAX_QUEUED_PREDICTIONS].count()
        release = OK if serving.champion() is not None else "none serves"
    except DatabaseError:
        yield "database", "does not answer"
        yield "release", "not known"
        return
    yield "database", OK
    is_full = waiting >= settings.MAX_QUEUED_PREDICTIONS
    yield "queue", "full: too many photos wait for an answer" if is_full else OK
    yield "release", release
