"""The CSV table of a batch: one row per file with patient, eye and capture facts."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from cataract.core.errors import DomainError
from predictions.photos.facts import PhotoFacts

MAX_BYTES = 5_000_000
_EYES = {"od": "OD", "r": "OD", "right": "OD", "os": "OS", "l": "OS", "left": "OS", "": ""}
_YES_NO = {"": None, "yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_SHOWN = 20  # more wrong rows would not help the sender


class TableRefused(DomainError):
    """The table is refused, and with it the batch; `errors` lists the rows."""

    code = "table_invalid"
    status = 422
    field = "table"

    def __init__(self, message: str, errors: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or {}


@dataclass
class Table:
    """The facts by file name; the last part of a path is enough where it is unique in the batch."""

    rows: dict[str, PhotoFacts] = field(default_factory=dict)

    def facts_of(self, name: str, default: PhotoFacts) -> PhotoFacts:
        """The table's facts about a file, with `default` where it states none."""
        found = self.rows.get(name) or self.rows.get(name.rsplit("/", 1)[-1])
        if found is None:
            return default
        empty = [key for key, value in vars(found).items() if value in ("", None)]
        return replace(found, **{key: getattr(default, key) for key in empty})

    def check_names(self, names: list[str]) -> None:
        """Raise TableRefused for rows about files that were not sent."""
        sent = {*names, *(name.rsplit("/", 1)[-1] for name in names)}
        missing = [name for name in self.rows if name not in sent]
        if missing:
            errors = {name: ["This file was not sent."] for name in missing[:_SHOWN]}
            raise TableRefused(f"The table names {len(missing)} files that were not sent.", errors)


def read_table(data: bytes, check_patient: Any) -> Table:
    """Parse a CSV with the columns file, patient, eye, site, device, captured_at, may_train; only `file` is needed.

    Takes commas, semicolons or tabs, with or without a byte order mark. `check_patient` raises ValidationError.
    Raises TableRefused with the number of each wrong row.
    """
    if len(data) > MAX_BYTES:
        raise TableRefused("The table is larger than 5 MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableRefused("The table is not UTF-8 text. Save it as CSV UTF-8.") from None
    if "\x00" in text:
        raise TableRefused("The table contains bytes that are not text. Save it as CSV UTF-8.")
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
    if "file" not in reader.fieldnames:
        raise TableRefused("The first line of the table must name its columns, and one of them must be `file`.")
    table = Table()
    errors: dict[str, list[str]] = {}
    for number, row in _numbered(reader):
        wrong = _add(table, row, check_patient)
        if wrong and len(errors) < _SHOWN:
            errors[f"row {number}"] = wrong
    if errors:
        raise TableRefused(f"The table has errors, first in {next(iter(errors))}.", errors)
    return table


def _numbered(reader: "csv.DictReader[str]") -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for count, row in enumerate(reader):
            if count >= settings.MAX_BATCH_FILES:
                raise TableRefused(f"The table has more than {settings.MAX_BATCH_FILES} rows.")
            yield reader.line_num, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
    except csv.Error as error:
        raise TableRefused(f"The table cannot be read near row {reader.line_num}: {error}.") from None


def _add(table: Table, row: dict[str, str], check_patient: Any) -> list[str]:
    """Add one row; return what is wrong with it."""
    wrong: list[str] = []
    name, patient = row.get("file", ""), row.get("patient", "")
    if not name:
        wrong.append("The file is not named.")
    elif name in table.rows:
        wrong.append(f"{name} has a row already.")
    if patient:
        try:
            check_patient(patient)
        except Exception as error:  # django's ValidationError; its text is for people
            wrong += list(getattr(error, "messages", [str(error)]))
    eye, may_train = row.get("eye", "").lower(), row.get("may_train", "").lower()
    if eye not in _EYES:
        wrong.append(f"Eye {row['eye']!r} is neither OD nor OS.")
    if may_train not in _YES_NO:
        wrong.append("may_train is neither yes nor no.")
    wrong += [f"{key} is longer than 64 characters." for key in ("site", "device") if len(row.get(key, "")) > 64]
    captured_at = _moment(row.get("captured_at", ""))
    if row.get("captured_at") and (captured_at is None or not 1990 <= captured_at.year <= timezone.now().year):
        wrong.append("captured_at is no date between 1990 and today, such as 2026-01-31.")
    if not wrong:
        table.rows[name] = PhotoFacts(
            patient_key=patient,
            eye=_EYES[eye],
            site=row.get("site", ""),
            device=row.get("device", ""),
            captured_at=captured_at,
            may_train=_YES_NO[may_train],
        )
    return wrong


def _moment(text: str) -> datetime | None:
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)) is not None:
            found = datetime(day.year, day.month, day.day)
    except ValueError:
        return None
    if found is not None and timezone.is_naive(found):
        found = timezone.make_aware(found)
    return found
