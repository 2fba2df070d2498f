"""manage.py audit_head: print the signed head of the audit log, to be stored elsewhere."""

from typing import Any

from django.core.management.base import BaseCommand

from cataract.core.audit import chain


class Command(BaseCommand):
    help = "Print the signed head of the audit log. Store the line elsewhere; `audit_verify --head` compares with it."

    def handle(self, *args: Any, **options: Any) -> None:
        chain.seal(everything=True)
        self.stdout.write(str(chain.head()))
