"""The CSV table of a batch: one row per file with patient, eye and capture facts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from cataract.core.csv_tables import TableRefused, read_cells, read_rows, refuse_rows, yes_or_no
from predictions.batches.naming import Names, plain_name
from predictions.photos.facts import PhotoFacts
from predictions.photos.validators import LABEL_LENGTH, check_captured_at, eye_named, patient_key

MAX_BYTES = 5_000_000
_SHOWN = 20  # more names would not help the sender


@dataclass
class Table:
    """The facts that each row states, by the name of its file."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def match(self, spellings: Sequence[list[str]], default: PhotoFacts) -> tuple[list[str], list[PhotoFacts]]:
        """The names of the files and the facts of each: those of its row, and `default` where that states nothing.

        spellings: the lists of names that the files may have, the most likely first; the first that fits is taken.
        Consent is what both agree on: a "no" in either place stays one. Raises TableRefused for a row that fits no
        file, several, one that has a row already, or different ones in different spellings.
        """
        fits = [(names, *self._fit(names, default)) for names in spellings]
        right = [(names, facts) for names, facts, errors in fits if not errors]
        if right:
            names, facts = right[0]
            if any(other != facts for _, other in right):
                raise TableRefused("The names in the archive can be read in several ways. Make it with UTF-8 names.")
            return names, facts
        errors = min((errors for _, _, errors in fits), key=len)
        row, lines = next(iter(errors.items()))
        raise TableRefused(f"The table does not fit the photos. {row}: {lines[0]}", errors)

    def _fit(self, names: list[str], default: PhotoFacts) -> tuple[list[PhotoFacts], dict[str, list[str]]]:
        """The facts of each file, and by row what does not fit."""
        files, facts, errors = Names(names), [default] * len(names), dict[str, list[str]]()
        taken: dict[int, str] = {}
        for row, stated in self.rows.items():
            places = files.places(row)
            if len(places) != 1:
                errors[row] = [_misfit([names[place] for place in places])]
            elif (place := places[0]) in taken:
                errors[row] = [f"{names[place]} has a row already: {taken[place]}."]
            else:
                taken[place] = row
                facts[place] = _with(default, stated)
        return facts, errors


NO_TABLE = Table()


def _with(default: PhotoFacts, stated: dict[str, Any]) -> PhotoFacts:
    consents = (default.may_train, stated.get("may_train"))  # a "no" counts, wherever it is stated
    may_train = False if False in consents else True if True in consents else None
    return replace(default, **{**stated, "may_train": may_train})


def _misfit(names: list[str]) -> str:
    if not names:
        return "This file was not sent."
    if len(set(names)) == 1:
        return f"{len(names)} photos have the name {names[0]}. Give each a name of its own."
    return f"It fits {len(names)} photos: {', '.join(names[:_SHOWN])}. Write the folder too."


def read_table(data: bytes) -> Table:
    """Parse a CSV with the columns COLUMNS, of which only `file` is needed. Raises TableRefused."""
    table = Table()
    errors: dict[str, list[str]] = {}
    rows = read_rows(data, columns=COLUMNS, needed=["file"], max_bytes=MAX_BYTES, max_rows=settings.MAX_BATCH_FILES)
    for number, row, misshapen in rows:
        if wrong := misshapen + _add(table, row):
            errors[f"row {number}"] = wrong
    refuse_rows(errors)
    return table


def _add(table: Table, row: dict[str, str]) -> list[str]:
    """Add one row; return what is wrong with it."""
    wrong: list[str] = []
    name = plain_name(row.pop("file", ""))
    if not name:
        wrong.append("The file is not named.")
    elif name in table.rows:
        wrong.append(f"{name} has a row already.")
    stated, misread = read_cells(row, _READ)
    if not wrong and not misread:
        table.rows[name] = {_FACTS.get(column, column): value for column, value in stated.items()}
    return wrong + misread


def _label(cell: str) -> str:
    if len(cell) > LABEL_LENGTH:
        raise ValidationError(f"This is longer than {LABEL_LENGTH} characters.")
    return cell


def _moment(cell: str) -> datetime:
    try:
        found = parse_datetime(cell)
    except ValueError:
        found = None
    if found is None:
        raise ValidationError(f"{cell!r} is no date such as 2026-01-31.")
    moment: datetime = timezone.make_aware(found) if timezone.is_naive(found) else found
    check_captured_at(moment)
    return moment


_READ: dict[str, Callable[[str], Any]] = {
    "patient": patient_key,
    "eye": eye_named,
    "site": _label,
    "device": _label,
    "captured_at": _moment,
    "may_train": yes_or_no,
}  # by column: what reads and checks a cell
_FACTS = {"patient": "patient_key"}  # where a fact is not called as its column
COLUMNS = ("file", *_READ)
