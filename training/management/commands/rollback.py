"""manage.py rollback: make the previous champion serve again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.errors import DomainError
from training.promotion.services import rollback


class Command(BaseCommand):
    help = "Undo the last promotion: the previous champion serves again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="the reason, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            promotion = rollback(user=None, reason=options["reason"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Release {promotion.release_id} serves again in place of {promotion.previous_id}.")
