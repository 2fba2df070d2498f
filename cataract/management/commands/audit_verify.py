"""manage.py audit_verify: is the audit log as it was written?"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cataract.core.audit import chain
from cataract.ops.audit import worker


class Command(BaseCommand):
    help = "Verify the whole audit log and the rows it speaks of. Exits with 1 when anything was changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--head", action="append", default=[], help="A line of `audit_head` that was kept elsewhere."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            heads = [chain.Head.read(line) for line in options["head"]]
        except ValueError as error:
            raise CommandError(str(error)) from None
        chain.seal(everything=True)
        faults = list(worker.faults_of(other=heads))
        for fault in faults:
            self.stderr.write(fault)
        if faults:
            raise CommandError(f"The audit log has {len(faults)} faults.")
        self.stdout.write(f"The audit log is whole: {chain.head().number} entries.")
