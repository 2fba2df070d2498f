"""manage.py monthly_report: the report of a month, as a PDF and a CSV in a folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.csv_cells import csv_lines
from cataract.ops.overview import monthly, worker
from cataract.ops.overview.months import Month, this_month


class Command(BaseCommand):
    help = "Write the report of a month: report-2026-10.pdf and report-2026-10.csv."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="An existing folder; files of the same name are replaced.")
        parser.add_argument("--month", default="", help="As 2026-10; the last month that is over by default.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            month = Month.of(options["month"]) if options["month"] else this_month().back(1)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if month > this_month():
            raise CommandError(f"{month.name} has not begun.")
        content = worker.month_figures(month)
        record(Act.EXPORTED, what="monthly report", month=month.name, format="pdf, csv")
        path = options["folder"] / f"report-{month.name}.pdf"
        try:
            path.write_bytes(monthly.pdf_of(month, content))
            with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
                file.writelines(csv_lines(monthly.rows_of(month, content)))
        except OSError as error:
            raise CommandError(f"The report cannot be written: {error}.") from error
        self.stdout.write(f"{path} and {path.with_suffix('.csv').name}")
