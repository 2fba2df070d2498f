"""manage.py releases: list the releases."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from predictions.releases.models import Release


class Command(BaseCommand):
    help = "List the releases, newest first, with their status."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON object per line.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            releases = list(Release.objects.all())
        except DatabaseError as error:
            raise CommandError(f"The database is not ready ({error}). Run `manage.py migrate` first.") from None
        if not releases and not options["json"]:
            self.stderr.write("No releases yet. `manage.py install_starter` installs the shipped one.")
        for release in releases:
            self.stdout.write(_as_json(release) if options["json"] else _as_line(release))


def _as_json(release: Release) -> str:
    return json.dumps(
        {
            "id": release.pk,
            "status": release.status,
            "encoder": release.encoder,
            "created_at": release.created_at.isoformat(),
            "promoted_at": release.promoted_at.isoformat() if release.promoted_at else None,
            "promises": release.promises,
        }
    )


def _as_line(release: Release) -> str:
    promoted = f", promoted {release.promoted_at:%Y-%m-%d %H:%M}" if release.promoted_at else ""
    return f"{release.status:<10} {release.pk}  registered {release.created_at:%Y-%m-%d %H:%M}{promoted}"
