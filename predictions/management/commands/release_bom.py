"""manage.py release_bom: the bill of materials of a release, as CycloneDX JSON."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cataract.ml.release.manifest import ReleaseCorrupt, verify
from predictions.releases.bom import bill_of_materials


class Command(BaseCommand):
    help = "Print the bill of materials of a release: its files with their hashes, and the statement of its data."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--release", help="the id of a registered release")
        which.add_argument("--starter", action="store_true", help="the starter release of the repository")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.STARTER_DIR) if options["starter"] else Path(settings.RELEASE_DIR) / options["release"]
        try:
            self.stdout.write(json.dumps(bill_of_materials(verify(folder)), indent=1))
        except ReleaseCorrupt as error:
            raise CommandError(str(error)) from None
