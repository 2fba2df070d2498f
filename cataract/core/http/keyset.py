"""Pages of a long list that each cost the same: a page begins after a row, not after a number of rows.

The address names the row: `?older=<place>` and `?newer=<place>`, and `?oldest=1` for the last page. A place is the time
and the key of a row, as `place_of` writes them; one that nobody wrote shows the first page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.dateparse import parse_datetime

PARAMETERS = ("older", "newer", "oldest")


@dataclass(frozen=True)
class Page:
    """The rows of one page, the newest first, and the places at which its neighbours begin; "" where there is none."""

    object_list: list[Any]
    newer: str
    older: str


def page_of(rows: "QuerySet[Any]", *, size: int, address: Mapping[str, str], at: str = "created_at") -> Page:
    """The page of `rows` that the parameters of an address ask for, the newest first by the time `at`, then by key.

    An index on (-at, key) makes each page cost the same.
    """
    newest_first, oldest_first = rows.order_by(f"-{at}", "pk"), rows.order_by(at, "-pk")
    if (place := _parsed(rows, address.get("newer", ""))) is not None or address.get("oldest"):
        upwards = oldest_first if place is None else oldest_first.filter(_before(at, *place))
        found = list(upwards[: size + 1])
        shown = found[:size][::-1]
        return Page(shown, _place(shown[:1], at, len(found) > size), _place(shown[-1:], at, place is not None))
    place = _parsed(rows, address.get("older", ""))
    found = list((newest_first if place is None else newest_first.filter(_after(at, *place)))[: size + 1])
    shown = found[:size]
    return Page(shown, _place(shown[:1], at, place is not None), _place(shown[-1:], at, len(found) > size))


def place_of(row: Any, at: str = "created_at") -> str:
    """The place of a row in its list, for an address."""
    return f"{getattr(row, at).isoformat()}~{row.pk}"


def _place(rows: list[Any], at: str, is_there: bool) -> str:
    return place_of(rows[0], at) if rows and is_there else ""


def _parsed(rows: "QuerySet[Any]", given: str) -> tuple[datetime, Any] | None:
    """The time and the key that an address names; None for what is no place of these rows."""
    model: type[Model] = rows.model
    moment, _, key = given.partition("~")
    try:
        parsed = parse_datetime(moment)
        pk = model._meta.pk.to_python(key)
    except (ValueError, ValidationError):
        return None
    return None if parsed is None or parsed.tzinfo is None or pk is None else (parsed, pk)


def _after(at: str, moment: datetime, key: Any) -> Q:
    """The rows behind this place. The first condition lets an index on `at` find them."""
    return Q(**{f"{at}__lte": moment}) & (Q(**{f"{at}__lt": moment}) | Q(pk__gt=key))


def _before(at: str, moment: datetime, key: Any) -> Q:
    return Q(**{f"{at}__gte": moment}) & (Q(**{f"{at}__gt": moment}) | Q(pk__lt=key))
