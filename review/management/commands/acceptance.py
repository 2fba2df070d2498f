"""manage.py acceptance: count now what the labels of each site show, and print how far each side is."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from predictions.acceptance import rules
from predictions.sites.models import Site
from review.acceptance import selectors, worker


class Command(BaseCommand):
    help = "Count what the labels of each site show, accept or withdraw by it, and print how far each side is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=600.0, help="At most for scoring photos (default 600).")

    def handle(self, *args: Any, **options: Any) -> None:
        worker.judge_sites(seconds=options["seconds"])
        if not rules.needs_acceptance():
            self.stdout.write("AUTO_ANSWERS=release: the release's own band decides, whatever is accepted below.")
        for side in selectors.sides_at(Site.objects.all()):
            row = side.progress
            where = f"{row.site}{f', {row.device}' if row.device else ''}"
            self.stdout.write(f"{where}, {row.get_side_display()}, {row.release_id}: {side.state}")
            self.stdout.write(f"  {row.found} {side.next}")
