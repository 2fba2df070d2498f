"""The chain of hashes over the audit log: sealing, signing, verifying.

Entries are written without a lock, in the transactions of many processes. `seal` gives them their order afterwards, in
short batches. Whoever changes, deletes or moves an entry breaks the hashes after it. Whoever computes all of them anew
lacks the key of the signatures; whoever cuts off the end is found by a head that was kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db import connection, transaction
from django.utils import timezone

from cataract.core.audit.contents import changed_since
from cataract.core.audit.models import AuditEntry, AuditSeal
from cataract.core.failpoints import hit

BATCH = 200  # entries sealed in one transaction: on SQLite it holds the lock of all writers for some milliseconds
SEALED_WITHIN = timedelta(minutes=15)  # entries without a seal that are older are a fault
_START = "0" * 64
_ADVISORY_LOCK = 0x61756469
_LATE = 1000  # how far behind the newest sealed entry one may be that was committed late
_CHUNK = 2000
_TITLE = "cataract-audit"


@dataclass(frozen=True)
class Head:
    """The end of the chain at one moment: so many entries, and the hash over all of them."""

    number: int
    hash: str
    at: datetime

    def __str__(self) -> str:
        """One line, signed with the installation's key, to be printed, mailed or stored elsewhere."""
        return _signer().sign(f"{_TITLE} {self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {self.number} {self.hash}")

    @classmethod
    def read(cls, line: str) -> "Head":
        """The head that such a line states. Raises ValueError when the line is not signed by this installation."""
        try:
            title, at, number, digest = _signer().unsign(line.strip()).split(" ")
            if title == _TITLE:
                return cls(int(number), digest, datetime.fromisoformat(at))
        except BadSignature:
            pass
        raise ValueError("This head is not signed with the key of this installation.")


# Sealing --------------------------------------------------------------------------------------------------------------
def seal(*, everything: bool = False) -> int:
    """Append the entries that are not sealed yet to the chain; return how many.

    Safe at any time and in several processes: one appends, the others do nothing. A process that is killed has appended
    whole batches only. everything: also look for entries that were committed very late.
    """
    sealed = 0
    while batch := _seal_batch(everything):
        sealed += batch
        if batch < BATCH:
            break
    return sealed


def _seal_batch(everything: bool) -> int:
    with transaction.atomic():
        if not _is_alone():
            return 0
        last = AuditSeal.objects.order_by("-number").first()
        waiting = AuditEntry.objects.filter(seal__isnull=True).order_by("pk")
        if last is not None and not everything:
            waiting = waiting.filter(pk__gt=last.entry_id - _LATE)
        number, digest = (last.number, last.hash) if last is not None else (0, _START)
        seals = []
        for entry in waiting[:BATCH]:
            number, digest = number + 1, _next_hash(digest, entry)
            seals.append(AuditSeal(number=number, entry=entry, hash=digest))
        if seals:
            seals[-1].signature = _signature(number, digest)
            AuditSeal.objects.bulk_create(seals)
            hit("audit.sealing")
    return len(seals)


def _is_alone() -> bool:
    """Whether nobody else is sealing, until this transaction ends. SQLite's transactions are IMMEDIATE."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        return bool(cursor.fetchone()[0])


def head() -> Head:
    """The end of the chain now."""
    last = AuditSeal.objects.order_by("-number").first()
    return Head(last.number, last.hash, timezone.now()) if last is not None else Head(0, _START, timezone.now())


# Verifying ------------------------------------------------------------------------------------------------------------
def verify(*, heads: Iterable[Head] = (), newest: int | None = None) -> Iterator[str]:
    """What is wrong with the chain, each fault in a sentence; nothing when all is as it was written.

    heads: kept elsewhere; the chain must still hold each. newest: look at the newest so many entries only.
    """
    stated = {head.number: head for head in heads if head.number}
    last = AuditSeal.objects.order_by("-number").first()
    end = last.number if last is not None else 0
    start = max(0, end - newest) if newest is not None else 0
    before = AuditSeal.objects.filter(number=start).first()
    digest = before.hash if before is not None else _START
    number = start
    rows = AuditSeal.objects.filter(number__gt=start).select_related("entry").order_by("number")
    for row in rows.iterator(chunk_size=_CHUNK):
        if row.number != number + 1:
            yield f"Entries {number + 1} to {row.number - 1} of the chain are missing."
            digest = ""
        number = row.number
        if digest and row.hash != _next_hash(digest, row.entry):
            yield f"Entry {row.number} of the chain (id {row.entry_id}) was changed, or does not belong there."
        if row.signature and row.signature != _signature(row.number, row.hash) and not _is_signed_before(row):
            yield f"Entry {row.number} of the chain is not signed with the key of this installation."
        if (head := stated.pop(row.number, None)) is not None and head.hash != row.hash:
            yield f"The chain was written anew: entry {row.number} was another one on {head.at:%Y-%m-%d %H:%M}."
        digest = row.hash
        if "kept" in row.entry.detail:
            yield from changed_since(row.entry.detail["kept"])
    if last is not None and not last.signature:
        yield f"The chain ends with entry {end}, which is not signed: its end was cut off."
    for lost in stated.values():
        if lost.number > end:
            yield f"The chain ends with entry {end}; on {lost.at:%Y-%m-%d %H:%M} it had {lost.number}."
    waiting = AuditEntry.objects.filter(seal__isnull=True, at__lt=timezone.now() - SEALED_WITHIN).count()
    if waiting:
        minutes = SEALED_WITHIN.seconds // 60
        yield f"{waiting} entries are not sealed after {minutes} minutes. Is a worker with beat running?"


# Hashes and signatures ------------------------------------------------------------------------------------------------
def text_of(entry: AuditEntry) -> str:
    """An entry as the chain hashes it: a JSON list, the same in every database."""
    values: list[Any] = [
        entry.pk, entry.at.astimezone(UTC).isoformat(), entry.act, entry.user_id, entry.username, entry.session,
        entry.key, entry.address, entry.kind, entry.object, entry.detail,
    ]  # fmt: skip
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _next_hash(before: str, entry: AuditEntry) -> str:
    return hashlib.sha256(f"{before}\n{text_of(entry)}".encode()).hexdigest()


def _signer() -> Signer:
    return Signer(salt="cataract.audit", sep=" ")


def _signature(number: int, digest: str) -> str:
    return _signer().signature(f"{number} {digest}")


def _is_signed_before(seal: AuditSeal) -> bool:
    """Whether an older key of this installation (SECRET_KEY_FALLBACKS) signed it."""
    try:
        _signer().unsign(f"{seal.number} {seal.hash} {seal.signature}")
    except BadSignature:
        return False
    return True
