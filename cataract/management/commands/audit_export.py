"""manage.py audit_export: the audit log of a period, as CSV or JSON Lines."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.csv_cells import csv_lines
from cataract.ops.audit.entries import Search, rows_of, table_of


class Command(BaseCommand):
    help = "Write the entries of these days, each with its place and hash in the chain."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="since", required=True, type=_day, help="The first day, as 2026-01-31 (UTC)."
        )
        parser.add_argument("--to", dest="until", required=True, type=_day, help="The last day, itself included.")
        parser.add_argument("--format", choices=["csv", "jsonl"], default="csv")
        parser.add_argument("--out", default="-", help="A file; standard output by default.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Search(since=options["since"], until=options["until"] + timedelta(days=1)).entries().order_by("pk")
        record(Act.EXPORTED, what="audit log", since=str(options["since"]), until=str(options["until"]))
        rows = rows_of(found.filter(pk__lte=found.values_list("pk", flat=True).last() or 0))
        lines: Iterator[str]
        if options["format"] == "jsonl":
            lines = (json.dumps(row, sort_keys=True) + "\n" for row in rows)
        else:
            lines = csv_lines(table_of(rows))
        if options["out"] == "-":
            sys.stdout.writelines(lines)
            return
        try:
            with Path(options["out"]).open("x", encoding="utf-8", newline="") as file:
                file.writelines(lines)
        except OSError as error:
            raise CommandError(f"{options['out']} cannot be written: {error}.") from error


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
