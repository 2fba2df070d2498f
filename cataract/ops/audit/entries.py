"""Entries of the audit log, searched, page by page, and as rows of a file."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from cataract.core.audit.models import Act, AuditEntry

COLUMNS = (
    "number", "at", "act", "user", "username", "session", "key", "address", "kind", "object", "detail", "hash",
)  # fmt: skip
PAGE_SIZE = 100
# What is done to an open case depends on its answers: people who read photos blind do not see these.
OF_READINGS = (
    Act.READ, Act.READ_FINAL, Act.READING_UNDONE, Act.AMENDED, Act.LABELLED, Act.ANSWERS_SHOWN, Act.FLIP_EXPLAINED,
)  # fmt: skip


@dataclass(frozen=True)
class Search:
    """What to look for; what is empty does not narrow it. object: an id."""

    act: str = ""
    username: str = ""
    object: str = ""
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def entries(self, *, without_readings: bool = False) -> QuerySet[AuditEntry]:
        """The entries found, newest first."""
        found = AuditEntry.objects.order_by("-pk")
        if without_readings:
            found = found.exclude(act__in=OF_READINGS)
        exact = {"act": self.act, "username": self.username, "object": self.object, "address": self.address}
        found = found.filter(**{name: value for name, value in exact.items() if value})
        if self.since is not None:
            found = found.filter(at__gte=self.since)
        return found if self.until is None else found.filter(at__lt=self.until)


def page_of(entries: QuerySet[AuditEntry], before: int | None) -> tuple[list[AuditEntry], int | None]:
    """One page of entries older than the id `before`, and the id to ask for the next one with; None at the end."""
    rows = list((entries if before is None else entries.filter(pk__lt=before))[: PAGE_SIZE + 1])
    return rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None


def rows_of(entries: QuerySet[AuditEntry]) -> Iterator[dict[str, Any]]:
    """The entries as they are exported, each with its place in the chain and its hash, once it is sealed."""
    for entry in entries.select_related("seal").iterator(chunk_size=1000):
        seal = getattr(entry, "seal", None)
        yield {
            "number": seal.number if seal is not None else None,
            "at": entry.at.isoformat(),
            "act": entry.act,
            "user": entry.user_id,
            "username": entry.username,
            "session": entry.session,
            "key": entry.key,
            "address": entry.address,
            "kind": entry.kind,
            "object": entry.object,
            "detail": entry.detail,
            "hash": seal.hash if seal is not None else "",
        }


def table_of(rows: Iterable[dict[str, Any]]) -> Iterator[list[Any]]:
    """The same rows as the lines of a table, under the names of the columns."""
    yield list(COLUMNS)
    for row in rows:
        yield [json.dumps(row[name], sort_keys=True) if name == "detail" else row[name] for name in COLUMNS]
