"""The MLflow server of `make run`: its command line, made from the settings."""

import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from cataract.core.hosts import in_address
from training.tracking import mlflow_client

# Its job runner would start eight more processes.
_QUIET = {**mlflow_client.ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def server_environment() -> dict[str, str]:
    """What the server is told by its environment: the store may name a password, which no argument may hold."""
    return {**_QUIET, "MLFLOW_BACKEND_STORE_URI": settings.MLFLOW_TRACKING_URI}


def server_command() -> list[str]:
    """The program that serves the store of this installation and its pages."""
    hosts = [*settings.MLFLOW_ALLOWED_HOSTS, in_address(settings.MLFLOW_HOST)]
    return [
        str(Path(sys.executable).parent / "mlflow"),
        "server",
        f"--artifacts-destination={settings.MLFLOW_ARTIFACT_DIR}",
        f"--host={settings.MLFLOW_HOST}",
        f"--port={settings.MLFLOW_PORT}",
        "--workers=1",
        f"--allowed-hosts={','.join([*_own_hosts(), *(pattern for host in hosts for pattern in (host, f'{host}:*'))])}",
        f"--cors-allowed-origins={','.join(_origins(hosts))}",
    ]


def _own_hosts() -> list[str]:
    """What MLflow allows by itself: this machine and private addresses. A list of hosts replaces it."""
    mlflow_client.prepare()
    from mlflow.server.security_utils import get_default_allowed_hosts

    return list(get_default_allowed_hosts())


def _origins(hosts: list[str]) -> Iterator[str]:
    """Where MLflow's own pages may come from: without these it refuses what they ask for, except on this machine."""
    for host in hosts:
        for scheme in ("http", "https"):
            yield f"{scheme}://{host}"
            yield f"{scheme}://{host}:*"
