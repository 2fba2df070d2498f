"""`manage.py restore`: restore a backup into an empty installation."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from cataract.ops.backup import services
from cataract.ops.backup.repository import BackupFailed


class Command(BaseCommand):
    requires_system_checks: list[str] = []
    help = (
        "Restore a backup of `manage.py backup` into an empty DATA_DIR and an empty database, and apply newer "
        "migrations. Then run `manage.py doctor`."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("repository", nargs="?", default="", help="default: BACKUP_REPOSITORY")
        parser.add_argument("--snapshot", default="latest", help="the id of a backup: `manage.py backup --list`")

    def handle(self, *_args: Any, **options: Any) -> None:
        place = options["repository"] or settings.BACKUP_REPOSITORY
        if not place:
            raise CommandError("Say from where: `manage.py restore /mnt/backup/cataract`, or set BACKUP_REPOSITORY.")
        try:
            facts = services.restore(services.repository_at(place), options["snapshot"])
        except BackupFailed as error:
            raise CommandError(str(error)) from None
        call_command("migrate", verbosity=0)
        self.stdout.write(f"Restored the backup of {facts['at'][:16]}. Now run `manage.py doctor`.")
