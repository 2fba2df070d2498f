"""Record who did and saw what, in the transaction of the act: an act that is rolled back leaves no entry, and none is
done without one.

`record` costs one INSERT. It takes no lock: the order of the chain is given shortly afterwards, by `chain.seal`.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone

from cataract.core.audit.contents import hashes_of
from cataract.core.audit.models import Act, AuditEntry

VIEWED_AGAIN_AFTER = timedelta(minutes=10)  # a browser asks for a photo again on every page that shows it


@dataclass(frozen=True)
class Actor:
    """Who acts, and by what: a session or an API key, from an address."""

    user: User | None = None
    session: str = ""
    key: int | None = None
    address: str = ""


# Set by the middleware of the web process; empty in workers and commands.
current: ContextVar[Callable[[], Actor] | None] = ContextVar("actor", default=None)


def record(
    act: Act,
    *,
    about: Model | None = None,
    user: User | None = None,
    rows: Sequence[Model] = (),
    columns: Sequence[str] = (),
    **detail: Any,
) -> None:
    """Add an entry about an act of `user`, else of whoever is behind the request, else of the system.

    columns: columns of `rows` (rows of one model; else of `about`) that can never change from now on: their hashes are
    kept, and `chain.verify` finds it when they did. detail: what JSON can hold; ids and numbers, never a pseudonym, a
    name or an answer.
    """
    held = list(rows) or ([] if about is None else [about])
    if columns and held:
        detail["kept"] = hashes_of(held, columns)
    AuditEntry.objects.create(act=act, **_who(user), **_what(about), detail=detail)


def record_view(act: Act, *, photo: Model, user: User, **detail: Any) -> None:
    """Add an entry about a photo that `user` is shown, unless there is one of the last `VIEWED_AGAIN_AFTER`."""
    since = timezone.now() - VIEWED_AGAIN_AFTER
    if not AuditEntry.objects.filter(object=str(photo.pk), act=act, user=user, at__gte=since).exists():
        record(act, about=photo, user=user, **detail)


def _who(user: User | None) -> dict[str, Any]:
    asked = current.get()
    actor = asked() if asked is not None else Actor()
    who = user or actor.user
    name = "" if who is None else who.get_username()
    return {"user": who, "username": name, "session": actor.session, "key": actor.key, "address": actor.address[:64]}


def _what(about: Model | None) -> dict[str, str]:
    return {} if about is None else {"kind": about._meta.label_lower, "object": str(about.pk)}
