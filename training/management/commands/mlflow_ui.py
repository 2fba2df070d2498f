"""manage.py mlflow_ui: run the MLflow server over the embedded store in the foreground."""

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from training.tracking.mlflow_client import ENVIRONMENT, make_store


class Command(BaseCommand):
    help = "Run the MLflow server of DATA_DIR on MLFLOW_PORT in the foreground (`manage.py up` starts it too)."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        settings.MLFLOW_ARTIFACT_DIR.mkdir(parents=True, exist_ok=True)
        make_store()  # takes turns with the worker; MLflow's own start takes no lock
        command = [
            str(Path(sys.executable).parent / "mlflow"),
            "server",
            f"--backend-store-uri={settings.MLFLOW_TRACKING_URI}",
            f"--artifacts-destination={settings.MLFLOW_ARTIFACT_DIR}",
            "--host=127.0.0.1",
            f"--port={settings.MLFLOW_PORT}",
            "--workers=1",
        ]
        # Its job runner would start eight more processes.
        os.execve(command[0], command, {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
