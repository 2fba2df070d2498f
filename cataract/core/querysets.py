"""Status changes and leases, each as one conditional UPDATE; and counting that stops.

`select_for_update` does nothing on SQLite; `UPDATE ... WHERE status IN (allowed)` is atomic on SQLite and PostgreSQL,
so an illegal, repeated or late change touches no row.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Protocol, Self, TypeVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

M = TypeVar("M", bound=models.Model)


class StatusQuerySet(models.QuerySet[M]):
    """A queryset whose rows have a `status` that changes only through `move()`.

    `MOVES` maps each status to the statuses from which it may be reached.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = {}

    def move(self, to: str, **values: Any) -> int:
        """Move these rows to `to` where that is legal, and set `values` in the same UPDATE.

        Returns the number of rows moved: 0 means that another process was first or that the move is illegal.
        Raises KeyError for a status that nothing may reach.
        """
        return self.filter(status__in=self.MOVES[to]).update(status=to, **values)

    def in_status(self, *statuses: str) -> Self:
        return self.filter(status__in=statuses)


class Leased(Protocol):
    """A row that a worker can lease: `attempts` is also the fencing token of the attempt that works on it."""

    @property
    def pk(self) -> Any: ...
    @property
    def attempts(self) -> int: ...


class LeasedQuerySet(StatusQuerySet[M]):
    """A queryset whose rows one worker at a time works on, under a lease with a fencing token.

    The rows need three columns: `status`, the integer `attempts`, and a time named by `LEASE`. A row in the status
    `OPEN` is free while that time is empty or past. Each claim counts `attempts` up, and every later write of that
    claim goes through `held()`: a worker that wakes up after its lease was taken over writes nothing.
    """

    OPEN: ClassVar[str]
    LEASE: ClassVar[str] = "lease_until"

    def free(self) -> Self:
        """The open rows that no worker holds."""
        ended = Q(**{f"{self.LEASE}__isnull": True}) | Q(**{f"{self.LEASE}__lte": Now()})
        return self.in_status(self.OPEN).filter(ended)

    def claim(self, row: Leased, lease: timedelta) -> int | None:
        """Take the lease of `row` as it was read; return the fencing token, None when the row is not free any more."""
        rows = self.free().filter(pk=row.pk, attempts=row.attempts)
        claimed = rows.update(attempts=F("attempts") + 1, **{self.LEASE: Now() + lease})
        return row.attempts + 1 if claimed else None

    def held(self, row: Leased, token: int) -> Self:
        """`row` while the claim with this token holds it and it is open; no row afterwards."""
        return self.in_status(self.OPEN).filter(pk=row.pk, attempts=token)

    def renew(self, lease: timedelta, **values: Any) -> bool:
        """Extend the lease of these held rows and set `values`; False when the claim has been lost."""
        return bool(self.update(**{self.LEASE: Now() + lease}, **values))

    def give_back(self, *, after: timedelta | None = None, **values: Any) -> bool:
        """End the lease of these held rows, now or `after` a pause; False when the claim has been lost."""
        return bool(self.update(**{self.LEASE: None if after is None else Now() + after}, **values))


@dataclass(frozen=True)
class Counted:
    """A number of rows, counted up to a limit: a list of a million costs no more than one of a thousand."""

    number: int
    is_more: bool

    def __str__(self) -> str:
        return f"{self.number:,} or more" if self.is_more else str(self.number)


def count_up_to(rows: "models.QuerySet[Any]", most: int = 250) -> Counted:
    """How many rows there are, or that there are more than `most`."""
    found = rows.order_by().values("pk")[: most + 1].count()
    return Counted(min(found, most), found > most)
