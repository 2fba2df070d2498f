"""`manage.py fill`: a database as full as that of a large installation, for tests and measurements only."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cataract.core.checks import SETTINGS
from cataract.ops.fill import HoldsRealPhotos, fill
from cataract.roles import ensure_roles

_MOST = 5_000_000


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Fill this database with made-up photos, predictions, cases, readings and labels, to measure how the system "
        "grows. There are no files behind the photos. Refused in production and on a database that holds photos."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("predictions", type=int, help="how many; seven photos for each ten of them")
        parser.add_argument("--seed", type=int, default=0, help="draws the same rows again (0)")

    def handle(self, *_args: Any, **options: Any) -> None:
        wanted = options["predictions"]
        if not 1 <= wanted <= _MOST:
            raise CommandError(f"Between 1 and {_MOST:,} predictions.")
        if settings.PRODUCTION:
            raise CommandError("Not in production: made-up photos would stand among real ones.")
        ensure_roles()
        try:
            fill(wanted, seed=options["seed"], say=self.stdout.write)
        except HoldsRealPhotos as error:
            raise CommandError(str(error)) from None
