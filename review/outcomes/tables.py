"""The CSV table of outcomes: one row per eye and day."""

from collections.abc import Callable
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_date

from cataract.core.csv_tables import TableRefused, read_cells, read_rows, refuse_rows, yes_or_no
from predictions.photos.validators import eye_named, patient_key
from review.outcomes.facts import NOTE_LENGTH, OutcomeFacts, check_seen_on
from review.outcomes.models import Outcome

MAX_BYTES = 1_000_000
MAX_ROWS = 2000
NEEDED = ("patient", "eye", "cataract", "seen_on")


def read_outcomes(data: bytes) -> list[tuple[int, OutcomeFacts]]:
    """The numbered rows of a CSV with the columns COLUMNS, of which NEEDED stand in each row. Raises TableRefused."""
    found: list[tuple[int, OutcomeFacts]] = []
    errors: dict[str, list[str]] = {}
    for number, row, wrong in read_rows(data, columns=COLUMNS, needed=NEEDED, max_bytes=MAX_BYTES, max_rows=MAX_ROWS):
        facts, misread = read_cells(row, _READ)
        wrong = wrong + misread + [f"{column}: This cell is empty." for column in NEEDED if not row.get(column)]
        if wrong:
            errors[f"row {number}"] = wrong
        else:
            found.append((number, OutcomeFacts(**facts)))
    refuse_rows(errors)
    if not found:
        raise TableRefused("The table has no rows.")
    return found


def _day(cell: str) -> date:
    try:
        day = parse_date(cell)
    except ValueError:
        day = None
    if day is None:
        raise ValidationError(f"{cell!r} is no date such as 2026-01-31.")
    check_seen_on(day)
    return day


def _source(cell: str) -> str:
    if cell.lower() not in Outcome.Source.values:
        raise ValidationError(f"{cell!r} is none of {', '.join(Outcome.Source.values)}.")
    return cell.lower()


def _note(cell: str) -> str:
    if len(cell) > NOTE_LENGTH:
        raise ValidationError(f"This is longer than {NOTE_LENGTH} characters.")
    return cell


_READ: dict[str, Callable[[str], Any]] = {
    "patient": patient_key,
    "eye": eye_named,
    "site": str,
    "cataract": yes_or_no,
    "operated": yes_or_no,
    "seen_on": _day,
    "source": _source,
    "note": _note,
}  # by column: what reads and checks a cell
COLUMNS = tuple(_READ)
