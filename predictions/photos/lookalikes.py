"""Stored photos that equal or nearly equal a new one: looked up in an index over the bands of their hashes.

The database keeps the index. Nothing is kept in the memory of a process, and a search reads only the entries that agree
in a band: about nine thousand of 700,000 photos.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, F, Func, Q, QuerySet, Value

from cataract.ml.photos.duplicates import band_probes, near
from predictions.photos.models import EyeImage

_Candidates = QuerySet[EyeImage, tuple[str, bool]]


@dataclass(frozen=True)
class Lookalikes:
    """same: the stored photo of the very same bytes. twins: the other near ones, oldest first, with their clusters."""

    same: EyeImage | None
    twins: list[EyeImage]


def find_lookalikes(*, sha256: str, hashes: Sequence[str]) -> Lookalikes:
    """The stored photos that look like a new one, whose eight dihedral hashes these are; purged ones never do.

    One query, and one more where there are any.
    """
    same = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).filter(sha256=sha256)
    found = list(candidates(hashes).union(_as_candidates(same, is_same=True), all=True))
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
    nearby = _near(hashes, [text for text, _ in candidates(hashes)])
    return _in_order(Q(perceptual_hash__in=nearby)) if nearby else []


def candidates(hashes: Sequence[str]) -> _Candidates:
    """The stored hashes that agree with one of these in a band, each with False; all near ones are among them."""
    first, *others = (
        _as_candidates(EyeImage.objects.filter(_Among(f"band_{number}", probes)), is_same=False)
        for number, probes in enumerate(band_probes(hashes))
    )
    return first.union(*others, all=True)  # to sort out the few that are found twice would cost more


class _Among(Func):
    """Whether a column has one of these texts, sent as one parameter: hundreds of them cost the ORM milliseconds."""

    output_field = BooleanField()

    def __init__(self, column: str, texts: list[str]) -> None:
        super().__init__(F(column))
        self._texts = texts

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, Any]:
        column, params = compiler.compile(self.source_expressions[0])
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, json.dumps(self._texts)]

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        column, params = compiler.compile(self.source_expressions[0])
        return f"{column} = ANY(%s)", [*params, self._texts]


def _as_candidates(photos: QuerySet[EyeImage], *, is_same: bool) -> _Candidates:
    return photos.order_by().values_list("perceptual_hash", Value(is_same, output_field=BooleanField()))


def _near(hashes: Sequence[str], found: list[str]) -> list[str]:
    return [found[place] for place in near(hashes, found)]


def _in_order(wanted: Q) -> list[EyeImage]:
    photos = EyeImage.objects.exclude(status=EyeImage.Status.PURGED).filter(wanted)
    return list(photos.order_by("created_at").select_related("cluster"))
