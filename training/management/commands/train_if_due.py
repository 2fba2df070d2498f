"""manage.py train_if_due: start a training run if the training policy asks for one."""

from typing import Any

from django.core.management.base import BaseCommand

from training.triggers import worker


class Command(BaseCommand):
    help = (
        "Start a training run if the training policy (in the admin, off by default) asks for one. Celery beat checks "
        "every minute."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        firing = worker.check()
        if firing is None:
            self.stdout.write("The policy asks for no run now.")
        elif firing.run is None:
            self.stdout.write(f"The policy asks for a run ({firing.reason}), but it could not start: {firing.error}")
        else:
            self.stdout.write(f"Run {firing.run_id} is queued: {firing.reason}")
