"""The CSV table of a batch: one row per file with patient, eye and capture facts."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from cataract.core.errors import DomainError
from predictions.batches.naming import Names, plain_name
from predictions.photos.facts import PhotoFacts
from predictions.photos.validators import LABEL_LENGTH, PATIENT_KEY, check_captured_at

MAX_BYTES = 5_000_000
_EYES = {"od": "OD", "r": "OD", "right": "OD", "os": "OS", "l": "OS", "left": "OS"}
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_SEPARATOR_LINE = re.compile(r'\A"?sep=([,;\t|])"?[^\r\n]*(?:\r\n?|\n|\Z)', re.IGNORECASE)  # Excel's first line
_SHOWN = 20  # more wrong rows would not help the sender


class TableRefused(DomainError):
    """The table is refused, and with it the batch; `errors` lists the rows."""

    code = "table_invalid"
    status = 422
    field = "table"

    def __init__(self, message: str, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(itertools.islice((errors or {}).items(), _SHOWN))


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
    """Parse a CSV with the columns COLUMNS, of which only `file` is needed.

    Takes commas, semicolons or tabs, with or without a byte order mark, Excel's `sep=` line and its empty rows. Raises
    TableRefused with the name of each unknown column, or the number of each wrong row.
    """
    rows = _rows(*_separated(_text(data)))
    _, header = next(rows, (0, []))
    header = [name.lower() for name in header]
    _check_header(header)
    table = Table()
    errors: dict[str, list[str]] = {}
    for count, (number, cells) in enumerate(rows):
        if count >= settings.MAX_BATCH_FILES:
            raise TableRefused(f"The table has more than {settings.MAX_BATCH_FILES} rows.")
        if wrong := _add(table, header, cells):
            errors[f"row {number}"] = wrong
    if errors:
        raise TableRefused(f"The table has errors, first in {next(iter(errors))}.", errors)
    return table


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise TableRefused("The table is larger than 5 MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableRefused("The table is not UTF-8 text. Save it as CSV UTF-8.") from None
    if "\x00" in text:
        raise TableRefused("The table contains bytes that are not text. Save it as CSV UTF-8.")
    return text


def _separated(text: str) -> tuple[str, str, int]:
    """The table itself, the character between its cells, and how many lines stand before it."""
    if found := _SEPARATOR_LINE.match(text):
        return text[found.end() :], found.group(1), 1
    first = text.split("\n", 1)[0]
    return text, max(",;\t", key=lambda separator: (first.count(separator), text.count(separator))), 0


def _rows(text: str, separator: str, lines_before: int) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row that is not empty: spreadsheets leave rows such as `;;` behind."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num + lines_before, cells
    except csv.Error as error:
        line = reader.line_num + lines_before
        raise TableRefused(f"The table cannot be read near row {line}: {error}.") from None


def _check_header(header: list[str]) -> None:
    """Refuse columns that do not exist: what stands below `may train` or `patient_id` would be lost."""
    known = f"Known columns: {', '.join(COLUMNS)}."
    wrong = {name[:LABEL_LENGTH]: ["Unknown column."] for name in header if name and name not in COLUMNS}
    wrong |= {name: ["This column is there twice."] for name, count in Counter(header).items() if name and count > 1}
    if "file" not in header:
        raise TableRefused(
            "The first line of the table must name its columns, and one of them must be `file`. " + known, wrong
        )
    if wrong:
        name, lines = next(iter(wrong.items()))
        raise TableRefused(f"{name}: {lines[0]} {known}", wrong)


def _add(table: Table, header: list[str], cells: list[str]) -> list[str]:
    """Add one row; return what is wrong with it."""
    row = dict(zip(header, cells, strict=False))
    wrong: list[str] = []
    if any(cell and not name for name, cell in itertools.zip_longest(header, cells, fillvalue="")):
        wrong.append("A cell stands below no column name.")
    name = plain_name(row.pop("file", ""))
    if not name:
        wrong.append("The file is not named.")
    elif name in table.rows:
        wrong.append(f"{name} has a row already.")
    stated: dict[str, Any] = {}
    for column, cell in row.items():
        if not column or not cell:
            continue
        fact, read = _READ[column]
        try:
            stated[fact] = read(cell)
        except ValidationError as error:
            wrong += [f"{column}: {line}" for line in error.messages]
    if not wrong:
        table.rows[name] = stated
    return wrong


def _patient(cell: str) -> str:
    PATIENT_KEY(cell)
    return cell


def _eye(cell: str) -> str:
    if cell.lower() not in _EYES:
        raise ValidationError(f"{cell!r} is neither OD nor OS.")
    return _EYES[cell.lower()]


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


def _consent(cell: str) -> bool:
    if cell.lower() not in _YES_NO:
        raise ValidationError(f"{cell!r} is neither yes nor no.")
    return _YES_NO[cell.lower()]


_READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "patient": ("patient_key", _patient),
    "eye": ("eye", _eye),
    "site": ("site", _label),
    "device": ("device", _label),
    "captured_at": ("captured_at", _moment),
    "may_train": ("may_train", _consent),
}  # by column: the fact, and what reads and checks a cell
COLUMNS = ("file", *_READ)
