"""The CSV table of outcomes: one row per eye and day."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_date

from cataract.core.errors import DomainError
from predictions.photos.validators import PATIENT_KEY
from review.outcomes.facts import NOTE_LENGTH, OutcomeFacts, check_seen_on
from review.outcomes.models import Outcome

MAX_BYTES = 1_000_000
MAX_ROWS = 2000
NEEDED = ("patient", "eye", "cataract", "seen_on")
COLUMNS = ("patient", "eye", "site", "cataract", "operated", "seen_on", "source", "note")
_EYES = {"od": "OD", "r": "OD", "right": "OD", "os": "OS", "l": "OS", "left": "OS"}
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_SHOWN = 20  # more wrong rows would not help the sender


class OutcomesRefused(DomainError):
    """The table is refused and nothing was stored; `errors` lists the rows."""

    code, status, field = "table_invalid", 422, "table"

    def __init__(self, message: str, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = dict(list((errors or {}).items())[:_SHOWN])


def read_outcomes(data: bytes) -> list[tuple[int, OutcomeFacts]]:
    """The numbered rows of a CSV with commas, semicolons or tabs, a byte order mark and a `sep=` line or without.

    Empty rows are passed over. Raises OutcomesRefused, which names unknown and missing columns and each wrong row.
    """
    if len(data) > MAX_BYTES:
        raise OutcomesRefused("The table is larger than 1 MB. Send it in parts.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OutcomesRefused("The table is not UTF-8 text. Save it as CSV UTF-8.") from None
    if "\x00" in text:
        raise OutcomesRefused("The table contains bytes that are not text. Save it as CSV UTF-8.")
    rows, wrong = [], {}
    for number, row in _numbered(text):
        facts, problems = _facts(row)
        if facts is None:
            wrong[f"row {number}"] = problems
        else:
            rows.append((number, facts))
    if wrong:
        raise OutcomesRefused(f"The table has errors, first in {next(iter(wrong))}. Nothing was stored.", wrong)
    if not rows:
        raise OutcomesRefused("The table has no rows.")
    return rows


def _numbered(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    first, _, rest = text.partition("\n")
    is_hint = first.strip().lower().startswith("sep=")
    delimiter = first.strip()[4:5] if is_hint else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(rest if is_hint else text, newline=""), delimiter=delimiter or ",")
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check(names)
        for count, cells in enumerate(reader):
            if count >= MAX_ROWS:
                raise OutcomesRefused(f"The table has more than {MAX_ROWS} rows. Send it in parts.")
            values = [cell.strip() for cell in cells]
            if any(values):
                yield reader.line_num + is_hint, dict(zip(names, values, strict=False))
    except csv.Error as error:
        raise OutcomesRefused(f"The table cannot be read near row {reader.line_num}: {error}.") from None


def _check(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        listed = ", ".join(name or "(empty)" for name in unknown[:_SHOWN])
        raise OutcomesRefused(f"Unknown columns: {listed}. The columns are {', '.join(COLUMNS)}.")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise OutcomesRefused(f"The first line must name the columns; missing: {', '.join(missing)}.")
    if len(set(names)) < len(names):
        raise OutcomesRefused("The first line names a column twice.")


def _facts(row: dict[str, str]) -> tuple[OutcomeFacts | None, list[str]]:
    """The facts of one row, or None and what is wrong with it."""
    wrong: list[str] = []
    eye = _EYES.get(row.get("eye", "").lower(), "")
    if not eye:
        wrong.append(f"Eye {row.get('eye', '')!r} is neither OD nor OS.")
    cataract = _YES_NO.get(row.get("cataract", "").lower())
    if cataract is None:
        wrong.append("cataract is neither yes nor no.")
    operated = _YES_NO.get((row.get("operated") or "no").lower())
    if operated is None:
        wrong.append("operated is neither yes nor no.")
    try:
        seen_on = parse_date(row.get("seen_on", ""))
    except ValueError:
        seen_on = None
    if seen_on is None:
        wrong.append("seen_on is no date such as 2026-01-31.")
    else:
        wrong += _problems(check_seen_on, seen_on)
    wrong += _problems(PATIENT_KEY, row.get("patient", ""))
    source = (row.get("source") or Outcome.Source.EXAMINATION).lower()
    if source not in Outcome.Source.values:
        wrong.append(f"source is none of {', '.join(Outcome.Source.values)}.")
    if len(row.get("note", "")) > NOTE_LENGTH:
        wrong.append(f"note is longer than {NOTE_LENGTH} characters.")
    if wrong or cataract is None or operated is None or seen_on is None:
        return None, wrong
    facts = OutcomeFacts(
        patient=row["patient"],
        eye=eye,
        cataract=cataract,
        seen_on=seen_on,
        site=row.get("site", ""),
        operated=operated,
        source=source,
        note=row.get("note", ""),
    )
    return facts, []


def _problems(check: Callable[[Any], None], value: Any) -> list[str]:
    try:
        check(value)
    except ValidationError as error:
        return list(error.messages)
    return []
