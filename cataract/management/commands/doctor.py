"""`manage.py doctor`: check the installation. Exits with 0 only when no check finds an error."""

import argparse
import dataclasses
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from cataract.ops.doctor import Finding, examine


class Command(BaseCommand):
    help = (
        "Compare files with rows, verify the champion and its golden predictions, and look at queues, leases, "
        "disk and broker. Exit code 0 only when all is well."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *_args: Any, **options: Any) -> None:
        findings = []
        for finding in examine(self._progress):
            findings.append(finding)
            if not options["json"]:
                self._print(finding)
        healthy = not any(finding.level == "error" for finding in findings)
        if options["json"]:
            self.stdout.write(
                json.dumps({"healthy": healthy, "findings": [dataclasses.asdict(finding) for finding in findings]})
            )
        if not healthy:
            sys.exit(1)

    def _print(self, finding: Finding) -> None:
        style = {"ok": self.style.SUCCESS, "note": self.style.WARNING, "error": self.style.ERROR}[finding.level]
        cure = f" {finding.cure}" if finding.cure else ""
        self.stdout.write(f"{style(f'{finding.level:<5}')} {finding.check:<12} {finding.message}{cure}")

    def _progress(self, line: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(line)
