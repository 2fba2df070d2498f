"""Status changes as one conditional UPDATE, right on SQLite and PostgreSQL alike.

`select_for_update` is silently nothing on SQLite; `UPDATE ... WHERE status IN (allowed)` is atomic on both, so an
illegal, doubled or late move touches no row.
"""

from typing import Any, ClassVar, Self

from django.db import models


class StatusQuerySet(models.QuerySet[Any]):
    """A queryset whose rows have a `status` that changes only through `move()`.

    `MOVES` maps each status to the statuses from which it may be reached.
    """

    MOVES: ClassVar[dict[str, frozenset[str]]] = {}

    def move(self, to: str, **values: Any) -> int:
        """Move these rows to `to` where that is legal, and set `values` in the same UPDATE.

        Returns the number of rows moved: 0 means that somebody else was first or that the move is illegal.
        Raises KeyError for a status that nothing may reach.
        """
        return self.filter(status__in=self.MOVES[to]).update(status=to, **values)

    def in_status(self, *statuses: str) -> Self:
        return self.filter(status__in=statuses)
