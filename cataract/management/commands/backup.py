"""`manage.py backup`: back up the whole installation while it runs."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cataract.core.checks import SETTINGS
from cataract.ops.backup import services
from cataract.ops.backup.repository import BackupFailed


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Back up database, photos, batches, releases, MLflow and secret key to an encrypted restic repository, verify "
        "it, and delete backups that BACKUP_KEEP_DAILY, _WEEKLY and _MONTHLY do not keep."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "repository",
            nargs="?",
            default="",
            help="a folder or another place restic knows; default: BACKUP_REPOSITORY",
        )
        parser.add_argument("--verify", default="5%", help="share of the stored bytes to read again, such as 100%%")
        parser.add_argument("--list", action="store_true", help="only list the backups")

    def handle(self, *_args: Any, **options: Any) -> None:
        place = options["repository"] or settings.BACKUP_REPOSITORY
        if not place:
            raise CommandError("Say where: `manage.py backup /mnt/backup/cataract`, or set BACKUP_REPOSITORY.")
        try:
            repository = services.repository_at(place)
            if options["list"]:
                for snapshot in repository.snapshots():
                    self.stdout.write(f"{snapshot['short_id']}  {snapshot['time'][:19]}")
                return
            last = services.back_up(repository, verify=options["verify"])
        except BackupFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Backup {last.snapshot}: {last.added_bytes / 1e6:.1f} MB are new. It was verified.")
