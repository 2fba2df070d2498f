"""manage.py sign_releases: sign the registered releases with the key of this installation, or print its public half."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from predictions.releases import signing, store


class Command(BaseCommand):
    help = (
        "Sign every registered release whose files are those on record: after SECRET_KEY was changed, or once you know "
        "why a signature is missing. Recorded in the audit log."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--public-key", action="store_true", help="print the public key, and sign nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["public_key"]:
            self.stdout.write(signing.public_key())
            return
        signed = store.sign_all(again=True)
        self.stdout.write(f"Signed: {', '.join(signed) or 'nothing'}.")
