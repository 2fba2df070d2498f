"""manage.py install_starter: make the shipped release the first champion."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from predictions.releases import services
from predictions.releases.errors import AlreadyInstalled, DamagedRelease


class Command(BaseCommand):
    help = "Install the shipped starter release as champion. Does nothing if there is a champion."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--challenger",
            action="store_true",
            help="register it beside the champion, to compare the two",
        )
        parser.epilog = "Exit code 0 when a champion is in service afterwards, 1 when the release cannot be used."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["challenger"]:
                added = services.add_starter()
                self.stdout.write(f"Release {added.pk} is {added.status}. Compare it in the admin, under Releases.")
                return
            release = services.install_starter()
        except AlreadyInstalled as error:
            self.stdout.write(f"Already installed. {error}")
        except DamagedRelease as error:
            raise CommandError(f"The starter release cannot be installed. {error}") from None
        except DatabaseError as error:
            raise CommandError(f"The database is not ready ({error}). Run `manage.py migrate` first.") from None
        else:
            self.stdout.write(f"Release {release.pk} is in service.")
