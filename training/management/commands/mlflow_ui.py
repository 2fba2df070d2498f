"""manage.py mlflow_ui: run the MLflow server over the embedded store in the foreground."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training.tracking.mlflow_client import home_url, is_remote, make_store
from training.tracking.server import server_command, server_environment


class Command(BaseCommand):
    help = (
        "Run the MLflow server of DATA_DIR on MLFLOW_HOST and MLFLOW_PORT in the foreground (`manage.py up` starts it "
        "too), and print the address of its pages."
    )
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        if is_remote():
            raise CommandError(f"MLflow runs elsewhere, at {settings.MLFLOW_TRACKING_URI}: {home_url()}")
        settings.MLFLOW_ARTIFACT_DIR.mkdir(parents=True, exist_ok=True)
        make_store()  # takes turns with the worker; MLflow's own start takes no lock
        command = server_command()
        self.stdout.write(f"MLflow's pages: {home_url()}")
        self.stdout.flush()
        os.execve(command[0], command, {**os.environ, **server_environment()})
