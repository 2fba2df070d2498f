"""CSV tables that people upload, as spreadsheets write them: rows by column, or a refusal that names what is wrong."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from cataract.core.errors import DomainError

_SEPARATOR_LINE = re.compile(r'\A"?sep=([,;\t|])"?[^\r\n]*(?:\r\n?|\n|\Z)', re.IGNORECASE)  # Excel's first line
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_NAME_LENGTH = 64  # of a column, in a message
_SHOWN = 20  # more wrong rows would not help the sender


class TableRefused(DomainError):
    """The table is refused as a whole, and nothing is stored; `errors` lists what is wrong by row or column."""

    code = "table_invalid"
    status = 422
    field = "table"

    def __init__(self, message: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(itertools.islice((errors or {}).items(), _SHOWN))


def read_rows(
    data: bytes, *, columns: Sequence[str], needed: Sequence[str], max_bytes: int, max_rows: int
) -> Iterator[tuple[int, dict[str, str], list[str]]]:
    """(line number, cell by column, what is wrong with the row's shape) of each row that is not empty.

    Takes UTF-8 with or without a byte order mark, commas, semicolons or tabs, Excel's `sep=` line and its rows of
    empty cells. Column names are case-insensitive. Raises TableRefused, while it is read, for anything larger, for
    unknown, doubled or missing columns, and for text that is no CSV.
    """
    rows = _rows(*_separated(_text(data, max_bytes)))
    _, header = next(rows, (0, []))
    header = [name.lower() for name in header]
    _check_header(header, columns, needed)
    for count, (number, cells) in enumerate(rows):
        if count >= max_rows:
            raise TableRefused(f"The table has more than {max_rows} rows. Send it in parts.")
        strays = any(cell and not name for name, cell in itertools.zip_longest(header, cells, fillvalue=""))
        wrong = ["A cell stands below no column name."] if strays else []
        yield number, {name: cell for name, cell in zip(header, cells, strict=False) if name}, wrong


def refuse_rows(errors: Mapping[str, list[str]]) -> None:
    """Raise TableRefused where `errors`, by row, holds any."""
    if errors:
        raise TableRefused(f"The table has errors, first in {next(iter(errors))}.", errors)


def read_cells(row: Mapping[str, str], readers: Mapping[str, Callable[[str], Any]]) -> tuple[dict[str, Any], list[str]]:
    """The values of the cells that are not empty, each by its column's reader, and what is wrong with the others.

    A reader raises ValidationError for a cell that it does not accept.
    """
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for column, cell in row.items():
        if not cell:
            continue
        try:
            values[column] = readers[column](cell)
        except ValidationError as error:
            wrong += [f"{column}: {line}" for line in error.messages]
    return values, wrong


def yes_or_no(cell: str) -> bool:
    """The truth value of a cell: yes, true, 1, no, false or 0. Raises ValidationError."""
    if cell.lower() not in _YES_NO:
        raise ValidationError(f"{cell!r} is neither yes nor no.")
    return _YES_NO[cell.lower()]


def _text(data: bytes, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise TableRefused(f"The table is larger than {max_bytes // 1_000_000} MB. Send it in parts.")
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


def _check_header(header: list[str], columns: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse columns that do not exist: what stands below `may train` or `patient_id` would be lost."""
    known = f"Known columns: {', '.join(columns)}."
    wrong = {name[:_NAME_LENGTH]: ["Unknown column."] for name in header if name and name not in columns}
    wrong |= {name: ["This column is there twice."] for name, count in Counter(header).items() if name and count > 1}
    first = "".join(f"{name}: {lines[0]} " for name, lines in itertools.islice(wrong.items(), 1))
    missing = [f"`{name}`" for name in needed if name not in header]
    if missing:
        names = "The first line of the table must name its columns, and one of them must be"
        raise TableRefused(f"{names} {' and one '.join(missing)}. {first}{known}", wrong)
    if wrong:
        raise TableRefused(f"{first}{known}", wrong)
