"""Stored photos that equal or nearly equal a new one: looked up in an index over the bands of their hashes.

The database keeps the index. Nothing is kept in the memory of a process, and a search reads only the entries that agree
in a band: about nine thousand of 700,000 photos.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q

from cataract.ml.photos.duplicates import BANDS, band_probes, near
from predictions.photos.models import EyeImage

_TABLE = EyeImage._meta.db_table
_SELECT = "SELECT perceptual_hash"


@dataclass(frozen=True)
class Lookalikes:
    """same: the stored photo of the very same bytes. twins: the other near ones, oldest first, with their clusters."""

    same: EyeImage | None
    twins: list[EyeImage]


def find_lookalikes(*, sha256: str, hashes: Sequence[str]) -> Lookalikes:
    """The stored photos that look like a new one, whose eight dihedral hashes these are; purged ones never do.

    One query, and one more where there are any.
    """
    sql, params = candidates_sql(hashes)
    same = f"{_SELECT}, TRUE FROM {_TABLE} WHERE sha256 = %s AND status <> %s"
    found = _found(f"{sql} UNION ALL {same}", [*params, sha256, EyeImage.Status.PURGED])
    is_known = any(is_same for _, is_same in found)
    nearby = _near(hashes, [text for text, is_same in found if not is_same])
    if not is_known and not nearby:
        return Lookalikes(None, [])
    photos = _in_order(Q(sha256=sha256) | Q(perceptual_hash__in=nearby))
    return Lookalikes(
        same=next((photo for photo in photos if photo.sha256 == sha256), None),
        twins=[photo for photo in photos if photo.sha256 != sha256],
    )


def near_duplicates(hashes: Sequence[str]) -> list[EyeImage]:
    """The stored photos whose hash is near one of these, oldest first, with their clusters; purged ones have none."""
    nearby = _near(hashes, [text for text, _ in _found(*candidates_sql(hashes))])
    return _in_order(Q(perceptual_hash__in=nearby)) if nearby else []


def candidates_sql(hashes: Sequence[str]) -> tuple[str, list[Any]]:
    """SQL with its parameters for the stored hashes that agree with one of these in a band, each with FALSE.

    All near ones are among them, some twice: to sort those out would cost more. The values of a band are one parameter.
    """
    is_sqlite = connection.vendor == "sqlite"
    among = "IN (SELECT value FROM json_each(%s))" if is_sqlite else "= ANY(%s)"
    parts = [f"{_SELECT}, FALSE FROM {_TABLE} WHERE band_{band} {among}" for band in range(BANDS)]
    probes = band_probes(hashes)
    return " UNION ALL ".join(parts), [json.dumps(values) for values in probes] if is_sqlite else [*probes]


def _found(sql: str, params: list[Any]) -> list[tuple[str, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _near(hashes: Sequence[str], found: list[str]) -> list[str]:
    return [found[place] for place in near(hashes, found)]


def _in_order(wanted: Q) -> list[EyeImage]:
    photos = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).filter(wanted)
    return list(photos.order_by("created_at").select_related("cluster"))
