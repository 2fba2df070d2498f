"""A real MLflow server in a process of its own, answering over HTTP."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str], ready: str, log: Path, **env: str) -> Iterator[None]:
    """Run a program of MLflow until the block ends; the block begins when `ready` answers."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(_BIN / "mlflow"), *command], env={**os.environ, **quiet, **env}, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + 120
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
    """The address of an empty tracking server that keeps its artefacts itself."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [
        "server",
        f"--backend-store-uri=sqlite:///{folder / 'server.db'}",
        f"--artifacts-destination={folder / 'artifacts'}",
        f"--port={address.rpartition(':')[2]}",
        "--workers=1",
    ]
    with serving(command, f"{address}/health", folder / "server.log"):
        yield address
