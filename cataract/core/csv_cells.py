"""CSV that is safe and right to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, "CSV Injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for the code page of the machine


def safe_cell(cell: Any) -> Any:
    """The cell, with an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    """Whether a spreadsheet would run it: some pass over the blanks before a formula."""
    return cell.startswith(_FORMULA_STARTS) or cell.lstrip().startswith(_FORMULA_STARTS)


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The rows as lines of a CSV file, one by one: with a byte order mark, and no cell that runs as a formula."""
    line = io.StringIO()
    writer = csv.writer(line)
    line.write(_BYTE_ORDER_MARK)
    for row in rows:
        writer.writerow([safe_cell(cell) for cell in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
