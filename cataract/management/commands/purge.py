"""manage.py purge: apply the retention periods, purge what is due in the trash, and forget it in training's caches."""

from typing import Any

from django.core.management.base import BaseCommand

from predictions.retention import worker
from training.forgetting import worker as forgetting


class Command(BaseCommand):
    help = "What the system does each night: old photos go to the trash, and what is due there is purged."

    def handle(self, *args: Any, **options: Any) -> None:
        trashed = worker.apply_retention()
        self.stdout.write(
            f"Moved to the trash by retention periods: {sum(row.images.count() for row in trashed)} photos."
        )
        self.stdout.write(f"Deletions purged: {worker.sweep()}.")
        self.stdout.write(f"Photos forgotten in training's caches: {forgetting.forget()}.")
