"""`manage.py capacity`: what a larger installation would take, simulated from the measured cost of an upload."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.ops import capacity
from cataract.ops.capacity import Station

# Measured: docs/capacity.md.
_WEB, _LOCK, _DATABASE = 56.0, 8.0, 4.0


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Simulate uploads that come at random to installations of 1, 2, 4 and more cores: photos per second, times, "
        "and what is full first. Costs are milliseconds of processor time of one upload; measure your own with "
        "`manage.py load`."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--cores", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], help="of web and decoders")
        parser.add_argument("--database-cores", type=int, default=2)
        parser.add_argument("--web-ms", type=float, default=_WEB, help="web process, decoder and cascade (%(default)s)")
        parser.add_argument("--lock-ms", type=float, default=_LOCK, help="one photo at a time (%(default)s)")
        parser.add_argument("--database-ms", type=float, default=_DATABASE, help="(%(default)s)")
        parser.add_argument("--p95-ms", type=float, default=1000.0, help="95 %% are answered within it (%(default)s)")

    def handle(self, *_args: Any, **options: Any) -> None:
        costs = (options["web_ms"], options["lock_ms"], options["database_ms"])
        if min(*options["cores"], options["database_cores"]) < 1 or min(*costs, options["p95_ms"]) <= 0:
            raise CommandError("All must be above 0.")
        self.stdout.write(f"{'cores':>5} {'photos/s':>9} {'ratio':>6} {'p50 ms':>7} {'p95 ms':>7}  full first")
        first = 0.0
        for cores in options["cores"]:
            stations = [
                Station("cores", cores, options["web_ms"]),
                Station("database", options["database_cores"], options["database_ms"]),
                Station("lock", 1, options["lock_ms"]),
            ]
            found = capacity.most(stations, p95_ms=options["p95_ms"])
            first = first or found.per_second
            ratio = found.per_second / first if first else float("nan")
            full = f"{found.fullest} ({found.busy[found.fullest]:.0%})"
            self.stdout.write(
                f"{cores:>5} {found.per_second:>9.1f} {ratio:>6.2f} {found.p50_ms:>7.0f} {found.p95_ms:>7.0f}  {full}"
            )
        hours = capacity.core_hours(options["web_ms"]), capacity.core_hours(options["database_ms"])
        self.stdout.write(
            f"A million photos: {hours[0]:.1f} core hours of web and decoders, {hours[1]:.1f} of the database."
        )
