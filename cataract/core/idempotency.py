"""A POST that carries an Idempotency-Key counts once: for 24 hours the same key and body get the same answer.

Only the name of the row that the first request made is kept, never its answer: a replay is built from the row, so a key
stores no secret and no result.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from django.apps import apps
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, models, transaction
from django.utils import timezone

from cataract.core.errors import BadField, IdempotencyKeyReused, RequestRunning
from cataract.core.models import IdempotentRequest

Row = TypeVar("Row", bound=models.Model)

MAX_KEY_LENGTH: Final = 128
# After this the first request counts as dead: its uncommitted work is rolled back, and the key is free again.
_RUNNING: Final = timedelta(seconds=60)


def claim_key(*, user: User, endpoint: str, key: str, body_sha256: str) -> IdempotentRequest:
    """The claim of `key` for a body, not stored yet. Raises BadField for a key that is not accepted."""
    if len(key) > MAX_KEY_LENGTH or not key.isprintable():
        raise BadField("Idempotency-Key", f"An Idempotency-Key has at most {MAX_KEY_LENGTH} printable characters.")
    return IdempotentRequest(user=user, endpoint=endpoint, key=key, body_sha256=body_sha256)


def made_before(claim: IdempotentRequest) -> Any:
    """The row that an earlier request with this key made; None when there was none, or when it died unfinished.

    Raises IdempotencyKeyReused when the key came with another body, RequestRunning while the first request is running.
    """
    earlier = _stored(claim).first()
    if earlier is None:
        return None
    if earlier.body_sha256 != claim.body_sha256:
        raise IdempotencyKeyReused
    if not earlier.made:
        if timezone.now() < earlier.created_at + _RUNNING:
            raise RequestRunning
        return None
    label, _, key = earlier.made.partition("/")
    row = apps.get_model(label)._default_manager.filter(pk=key).first()
    if row is None:
        raise IdempotencyKeyReused("The result of this Idempotency-Key has since been deleted. Use a new key.")
    return row


def keep_claim(claim: IdempotentRequest, row: models.Model) -> None:
    """Store the claim with what it made, in the transaction that makes it. IntegrityError: another was first."""
    claim.made = _name(row)
    claim.save(force_insert=True)


def make_once(claim: IdempotentRequest, make: Callable[[], Row]) -> tuple[Row, bool]:
    """Return the row that `make` makes, or made for the first request with this key, and whether this is a replay.

    `make` only writes rows: it runs in one transaction with the note that it is done, so a crash leaves both or
    neither. When it fails, the key is free again. Raises what `made_before` and `make` raise.
    """
    if (row := made_before(claim)) is not None:
        return row, True
    since = _begin(claim)
    mine = _stored(claim).filter(made="", created_at=since)
    try:
        with transaction.atomic():
            made = make()
            if not mine.update(made=_name(made)):
                raise RequestRunning  # it took so long that another request took over
    except BaseException:
        with contextlib.suppress(DatabaseError):  # the key is then free after a minute
            mine.delete()
        raise
    return made, False


def _begin(claim: IdempotentRequest) -> datetime:
    """Note that the request runs, or take over from one that died; returns the time, its fencing token.

    This is no `LeasedQuerySet`: the first claim makes the row, and a request that dies leaves nothing to resume.
    """
    now = timezone.now()
    dead = _stored(claim).filter(made="", created_at__lte=now - _RUNNING)
    if not dead.update(created_at=now):
        claim.created_at = now
        try:
            with transaction.atomic():
                claim.save(force_insert=True)
        except IntegrityError:
            raise RequestRunning from None
    return now


def _stored(claim: IdempotentRequest) -> models.QuerySet[IdempotentRequest]:
    return IdempotentRequest.objects.filter(user=claim.user, endpoint=claim.endpoint, key=claim.key)


def _name(row: models.Model) -> str:
    return f"{row._meta.label_lower}/{row.pk}"
