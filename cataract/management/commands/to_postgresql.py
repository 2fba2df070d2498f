"""`manage.py to_postgresql URL`: move the installation of this DATA_DIR from SQLite to PostgreSQL."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cataract.core.checks import SETTINGS
from cataract.core.locks import AlreadyRunning, locked
from cataract.ops.moving.postgresql import NotMoved, move_to_postgresql


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Copy every row of the stopped system of DATA_DIR from SQLite to an empty PostgreSQL database, compare each, "
        "and say how to go on. The SQLite file is not changed; photos, releases and MLflow stay in DATA_DIR."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("url", help="postgres://user:password@host:5432/name, an empty database")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with locked(settings.DATA_DIR / "run" / "up.lock"):
                rows = move_to_postgresql(options["url"], say=self.stdout.write)
        except AlreadyRunning as error:
            raise CommandError(f"The system runs (process {error.pid}). Stop it with Ctrl-C first.") from None
        except NotMoved as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{rows} rows are in PostgreSQL. From now on start with DATABASE_URL set to it; run `manage.py doctor`. "
            f"When all is well, delete {settings.DATABASES['default']['NAME']}: it is not used any more."
        )
