"""A real MLflow server in a process of its own, answering over HTTP: that of `manage.py mlflow_ui`."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

PROGRAMS = Path(sys.executable).parent
MLFLOW = str(PROGRAMS / "mlflow")
ALLOWED_HOST = "eyes.example"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str], ready: str, log: Path, **env: str) -> Iterator[None]:
    """Run a program until the block ends; the block begins when the address `ready` answers.

    The environment's programs are on its PATH, as in a shell that activated the environment: MLflow starts uvicorn.
    """
    env = {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", **env}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=env, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 280
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=5):
                break
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """The address of an empty tracking server that keeps its artefacts itself, and answers to ALLOWED_HOST too."""
    port = str(free_port())
    env = {"DATA_DIR": str(folder), "MLFLOW_PORT": port, "MLFLOW_ALLOWED_HOSTS": ALLOWED_HOST}
    address = f"http://127.0.0.1:{port}"
    with serving([sys.executable, "manage.py", "mlflow_ui"], f"{address}/health", folder / "server.log", **env):
        yield address
