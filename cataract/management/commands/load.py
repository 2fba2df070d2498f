"""`manage.py load`: photos per second of a whole running system, plain and scaled out."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.checks import SETTINGS
from cataract.core.processes import available_cores
from cataract.ops import load
from cataract.ops.load import LoadFailed, Measured, Minute
from training.tracking.measurement import MLFLOW_OPTION, NotRecorded, record

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Start separate systems on 127.0.0.1, one after the other, and send photos to each: everything in one "
        "process; with decoder processes; several web processes; answers by Celery workers, and by Ray where it is "
        "installed. Your data is not touched. "
        "With --minutes: one system, for minutes without a pause."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--callers", type=int, default=8, help="concurrent callers (8)")
        parser.add_argument("--photos", type=int, default=100, help="photos per system and round (100)")
        parser.add_argument("--rounds", type=int, default=2, help="measurements of each system (2)")
        parser.add_argument(
            "--processes",
            type=int,
            default=available_cores(),
            help="web or worker processes when scaled out (number of cores)",
        )
        parser.add_argument("--images", type=Path, metavar="DIR", help="photos to send instead of synthetic eyes")
        parser.add_argument(
            "--minutes",
            type=int,
            help="send without a pause for so long to the system of `make run`, and compare the last minute with the "
            "first; at least 2 (10 shows what grows with the photos of the last minutes)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON list")
        parser.add_argument("--mlflow", action="store_true", help=MLFLOW_OPTION)

    def handle(self, *_args: Any, **options: Any) -> None:
        callers, rounds, wanted = options["callers"], options["rounds"], options["photos"]
        if not (1 <= callers <= 200 and 1 <= rounds <= 20 and 1 <= wanted <= 5000 and 1 <= options["processes"] <= 64):
            raise CommandError(
                "All must be at least 1; at most --callers 200, --rounds 20, --photos 5000 and --processes 64."
            )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # also stops the running system
        busy = os.getloadavg()[0]
        if options["minutes"] is not None:
            self._sustain(options, busy)
            return
        photos = self._photos(options["images"], callers + wanted)
        chosen = load.ways(options["processes"])
        try:
            found = load.measure(photos, chosen, callers=callers, rounds=rounds, say=self.stderr.write)
        except LoadFailed as error:
            raise CommandError(str(error)) from None
        self._tell(found, _table(found, callers, busy), as_json=options["json"])
        if options["mlflow"]:
            params = {name: options[name] for name in ("callers", "photos", "rounds", "processes")}
            self._record("throughput", found, {row.way: asdict(row) for row in found}, params, busy)

    def _sustain(self, options: dict[str, Any], busy: float) -> None:
        minutes, callers = options["minutes"], options["callers"]
        if not 2 <= minutes <= 240:
            raise CommandError("--minutes must be at least 2, and at most 240.")
        default = load.ways(1)[1]
        try:
            found = load.sustain(default, minutes=minutes, callers=callers, say=self.stderr.write)
        except LoadFailed as error:
            raise CommandError(str(error)) from None
        self._tell(found, _minutes(found, callers, busy), as_json=options["json"])
        if options["mlflow"]:
            figures = {f"minute_{row.number}": asdict(row) for row in found}
            self._record("sustained", found, figures, {"callers": callers, "minutes": minutes}, busy)

    def _tell(self, found: Sequence[Measured | Minute], table: list[str], *, as_json: bool) -> None:
        self.stdout.write(json.dumps([asdict(row) for row in found], indent=2) if as_json else "\n".join(table))

    def _record(
        self,
        name: str,
        found: Sequence[Measured | Minute],
        figures: dict[str, Any],
        params: dict[str, Any],
        busy: float,
    ) -> None:
        try:
            url = record(
                "load",
                name=name,
                figures={**figures, "load_before": busy},
                params={**params, "cores": available_cores()},
                result=[asdict(row) for row in found],
            )
        except NotRecorded as error:
            raise CommandError(str(error)) from None
        self.stderr.write(f"Recorded: {url}")

    def _photos(self, folder: Path | None, count: int) -> list[bytes]:
        if folder is None:
            self.stderr.write(f"Drawing {count} photos ...")
            return list(load.drawn_photos(count))
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _ENDINGS]
        found = list(dict.fromkeys(path.read_bytes() for path in paths))[:count]  # the same photo twice is refused
        if len(found) < count:
            raise CommandError(f"{folder} holds {len(found)} different photos; {count} are needed. Lower --photos.")
        return found


def _table(found: Sequence[Measured], callers: int, busy: float) -> list[str]:
    head = f"{'system':<40}{'photos/s':>9}{'ratio':>7}{'p50 ms':>8}{'p95 ms':>8}{'later':>7}"
    rows = [
        f"{row.way:<40}{row.per_second:>9.1f}{row.ratio:>7.2f}{row.p50_ms:>8.0f}{row.p95_ms:>8.0f}{row.later:>7}"
        for row in found
    ]
    return [f"{callers} callers, {available_cores()} cores, load {busy:.1f} before", head, *rows]


def _minutes(found: Sequence[Minute], callers: int, busy: float) -> list[str]:
    """Every minute, and the last beside the first."""
    head = f"{'minute':<8}{'photos/s':>9}{'p50 ms':>8}{'p95 ms':>8}"
    rows = [f"{row.number:<8}{row.per_second:>9.1f}{row.p50_ms:>8.0f}{row.p95_ms:>8.0f}" for row in found]
    first, last = found[0].per_second, found[-1].per_second
    end = f"first minute {first:.1f}, last minute {last:.1f} photos/s: {last / first if first else 0:.2f} times"
    return [f"{callers} callers, {available_cores()} cores, load {busy:.1f} before", head, *rows, end]
