"""A complete system in its own processes, for tests of what real processes do."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

BASE_DIR = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent


class System:
    """The programs of one DATA_DIR. `env` is added to the environment; nothing of the caller's settings leaks in."""

    def __init__(self, data_dir: Path, **env: str) -> None:
        self.data_dir = data_dir
        inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
        self.env: Mapping[str, str] = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "cataract.settings",
            "DATA_DIR": str(data_dir),
            "OMP_NUM_THREADS": "1",
            "LOG_LEVEL": "INFO",  # a worker says when it is ready
            "ALWAYS_READ_RATE": "0",  # no answer is provisional by chance, as in tests/settings.py
            "ALWAYS_READ_WEEKLY": "0",
            "STEP_UP_MINUTES": "720",
            "REVIEW_TOO_FAST_SECONDS": "0",
            "REVIEW_QUICK_SECONDS": "0",
            "REVIEW_SLIP_SECONDS": "0",
            "ACCURATE_CHECK_RATE": "0",
            "PYTHONUNBUFFERED": "1",
            **env,
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)

    def take_database(self, prepared: Path) -> None:
        """Start from a copy of a database that is already migrated (fixture `migrated`)."""
        shutil.copy(prepared, self.data_dir / "db.sqlite3")

    def manage(self, *arguments: str, check: bool = True, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
        """Run one management command to its end."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done

    def python(self, code: str) -> str:
        """What a Django-ready Python prints when it runs `code` in this system."""
        setup = "import django; django.setup()\n"
        done = subprocess.run(
            [sys.executable, "-c", setup + code],
            cwd=BASE_DIR,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, name: str, *command: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start a program of the environment, what it says going to DATA_DIR/logs/NAME.log."""
        with (self.data_dir / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=BASE_DIR, env={**self.env, **env}, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def start_broker(self) -> "subprocess.Popen[bytes]":
        """The embedded broker; where REDIS_URL names one, a Redis of our own at that port, as in docker-compose.yml."""
        if url := self.env.get("REDIS_URL"):
            return self._start_redis(urlsplit(url).port or 6379)
        process = self.start("broker", sys.executable, "manage.py", "broker")
        self.await_true(lambda: (self.data_dir / "run" / "broker.sock").exists(), 20, "the broker's socket")
        return process

    def _start_redis(self, port: int) -> "subprocess.Popen[bytes]":
        binary = shutil.which("redis-server") or shutil.which("valkey-server") or pytest.fail("Redis is not installed.")
        folder = self.data_dir / "redis"
        folder.mkdir(exist_ok=True)
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "appendonly": "yes", "save": ""}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        process = self.start("broker", binary, *words)
        self.await_true(lambda: _listens(port), 20, "Redis")
        return process

    def start_worker(self, *options: str, beat: bool = True, **env: str) -> "subprocess.Popen[bytes]":
        command = [str(PROGRAMS / "celery"), "--app=cataract", "worker", "--concurrency=2", "--loglevel=INFO"]
        queues = "--queues=default,predict,train"
        return self.start("worker", *command, queues, *(["--beat"] if beat else []), *options, **env)

    def start_web(self, port: int, *, threads: int = 4) -> "subprocess.Popen[bytes]":
        command = [str(PROGRAMS / "granian"), "--interface=wsgi", f"--port={port}", f"--blocking-threads={threads}"]
        return self.start("web", *command, "cataract.wsgi:application", PORT=str(port))

    def await_true(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Return when `condition` holds; fail with the logs when it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{self.log_tails()}"
            time.sleep(0.1)

    def log_tails(self) -> str:
        logs = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-40:]) for log in logs)

    def stop(self) -> None:
        """End every process started here, and their children."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    kill_tree(process.pid)
        self.processes.clear()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with every migration applied and nothing in it, made once a session. Read-only."""
    system = System(tmp_path_factory.mktemp("migrated"))
    system.manage("migrate")
    system.python("from django.db import connection; connection.cursor().execute('PRAGMA journal_mode=DELETE')")
    return system.data_dir / "db.sqlite3"


@pytest.fixture(scope="session")
def static_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The STATIC_ROOT of a system that serves pages, collected once a session. Read-only."""
    folder = tmp_path_factory.mktemp("static")
    system = System(folder / "data", STATIC_ROOT=str(folder / "collected"))
    system.manage("collectstatic", "--noinput", "--ignore", "drf_spectacular_sidecar", "--ignore", "rest_framework")
    return folder / "collected"


# Settings of the test session that must not leak into the started system.
_OURS = {
    "DATA_DIR",
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "PORT",
    "MLFLOW_PORT",
    "MLFLOW_TRACKING_URI",
    "PRODUCTION",
    "LOG_LEVEL",
    "STATIC_ROOT",
}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill_tree(pid: int) -> None:
    """kill -9 a process and its remaining children."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        if member.is_running():
            member.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=5)
