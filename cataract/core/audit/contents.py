"""The hashes of columns that can never change: by them a change in the database is found."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.db.models import Model


def hashes_of(rows: Sequence[Model], columns: Sequence[str]) -> dict[str, Any]:
    """The SHA-256 of these columns of each row, as an entry keeps them."""
    kind = rows[0]._meta.label_lower
    return {"kind": kind, "columns": list(columns), "sha256": {str(row.pk): _sha256(row, columns) for row in rows}}


def changed_since(kept: Mapping[str, Any]) -> Iterator[str]:
    """The rows, in words, that are gone or whose columns are no longer what `hashes_of` found."""
    model: type[Model] = apps.get_model(kept["kind"])
    rows = {str(row.pk): row for row in model._default_manager.filter(pk__in=list(kept["sha256"]))}
    for pk, digest in kept["sha256"].items():
        name = f"{model._meta.verbose_name} {pk}"
        if pk not in rows:
            yield f"The {name} was deleted."
        elif _sha256(rows[pk], kept["columns"]) != digest:
            yield f"The {name} was changed."


def _sha256(row: Model, columns: Sequence[str]) -> str:
    values = [_plain(row._meta.get_field(column).to_python(getattr(row, column))) for column in columns]  # type: ignore[union-attr]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
