"""`manage.py up`: the whole embedded system in one terminal. `make run` ends here."""

import argparse
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from cataract.celery import app as celery_app
from cataract.core.broker.server import (
    SET_ASIDE,
    BrokerUnavailable,
    give_back_unacknowledged,
    server_command,
    set_aside_unreadable,
    wait_until_ready,
)
from cataract.core.checks import SETTINGS
from cataract.core.hosts import in_address
from cataract.core.locks import AlreadyRunning, locked
from cataract.ops.supervisor import Service, Supervisor
from training.tracking.mlflow_client import home_url, is_remote

# A task that runs when the system is told to stop has this long to finish before it is given back to its queue.
TASK_GRACE_SECONDS = 20.0


class Command(BaseCommand):
    requires_system_checks = [SETTINGS]
    help = (
        "Run web, worker with beat, MLflow UI and (without REDIS_URL) the private broker until Ctrl-C. "
        "PORT, MLFLOW_PORT and DATA_DIR in the environment say where."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"), help="address to listen on")
        parser.add_argument("--no-mlflow", action="store_true", help="leave the MLflow UI out")
        parser.add_argument("--setup", action="store_true", help="first do what `manage.py setup` does")

    def handle(self, *_args: Any, **options: Any) -> None:
        host, mlflow = options["host"], not (options["no_mlflow"] or is_remote())
        try:
            with locked(settings.DATA_DIR / "run" / "up.lock"):
                _refuse_taken_port(host, settings.PORT, "PORT=8001 make run")
                if mlflow:
                    _refuse_taken_port(settings.MLFLOW_HOST, settings.MLFLOW_PORT, "MLFLOW_PORT=9001 make run")
                if options["setup"]:
                    call_command("setup", stdout=self.stdout)
                _refuse_unready_database()
                _forget_counters()
                status = self._run(host, mlflow)
        except AlreadyRunning as error:
            raise CommandError(
                f"A system (process {error.pid}) already runs on {settings.DATA_DIR}. Stop it with Ctrl-C, "
                "or start another one beside it: PORT=8001 DATA_DIR=/another/folder make run"
            ) from None
        except BrokerUnavailable as error:
            raise CommandError(str(error)) from None
        if status:
            sys.exit(status)

    def _run(self, host: str, mlflow: bool) -> int:
        supervisor = Supervisor(settings.DATA_DIR / "logs")
        supervisor.handle_signals()
        announcement = _Announcement(self, host, mlflow)

        def when_web_answers() -> None:
            if announcement.print_if_ready() and mlflow:  # only now: its start takes seconds of processor time
                supervisor.start(mlflow_service())

        try:
            if settings.EMBEDDED_BROKER:
                self._start_broker(supervisor)
            supervisor.start(web_service(host))
            supervisor.start(worker_service())
            if settings.INFERENCE == "ray":
                supervisor.start(replicas_service())
            return supervisor.watch(when_web_answers)
        finally:
            self.stdout.write("Stopping: running tasks finish or go back to their queue. Ctrl-C again to hurry.")
            supervisor.stop()
            self.stdout.write("Stopped.")

    def _start_broker(self, supervisor: Supervisor) -> None:
        if aside := set_aside_unreadable(settings.DATA_DIR / "broker"):
            self.stderr.write(self.style.WARNING(SET_ASIDE.format(aside)))
        supervisor.start(broker_service())
        wait_until_ready(settings.CELERY_BROKER_URL)
        held = give_back_unacknowledged(celery_app)
        if held:
            self.stdout.write(f"Gave back {held} tasks that a killed worker had held.")


def _refuse_unready_database() -> None:
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is missing or behind the code. Run `make run` or `manage.py setup` first.")


def _forget_counters() -> None:
    """Counters begin at zero with the system; the processes that left the old ones are gone."""
    for file in settings.METRICS_DIR.glob("*.db"):
        file.unlink(missing_ok=True)


def broker_service() -> Service:
    return Service("broker", server_command(settings.BROKER_SOCKET, settings.DATA_DIR / "broker"))


def web_service(host: str) -> Service:
    return Service(
        "web",
        [
            _program("granian"),
            "--interface=wsgi",
            f"--host={host}",
            f"--port={settings.PORT}",
            f"--workers={settings.WEB_PROCESSES}",
            f"--blocking-threads={settings.WEB_THREADS}",
            "--log-level=warning",
            "--workers-kill-timeout=10",
            "cataract.wsgi:application",
        ],
        env={"OMP_NUM_THREADS": "1"},
        stop_signals=((signal.SIGTERM, 15.0),),
    )


def worker_service() -> Service:
    return Service(
        "worker",
        [
            _program("celery"),
            "--app=cataract",
            "--quiet",
            "worker",
            "--beat",
            f"--concurrency={settings.WORKER_PROCESSES}",
            "--queues=default,predict,train",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={settings.LOG_LEVEL}",
        ],
        env={"OMP_NUM_THREADS": "1"},
        # Warm first: tasks finish. Then cold: what still runs goes back to its queue.
        stop_signals=((signal.SIGTERM, TASK_GRACE_SECONDS), (signal.SIGQUIT, 5.0)),
    )


def replicas_service() -> Service:
    """Without it workers answer; so the system goes on when it cannot be kept running."""
    command = [sys.executable, "-m", "cataract", "serve"]
    return Service("ray", command, stop_signals=((signal.SIGTERM, 20.0),), essential=False)


def mlflow_service() -> Service:
    return Service("mlflow", [sys.executable, "-m", "cataract", "mlflow_ui"], essential=False)


def _program(name: str) -> str:
    """The program of that name that belongs to this Python's environment."""
    return str(Path(sys.executable).parent / name)


def _refuse_taken_port(host: str, port: int, cure: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port, for example: {cure}"
            ) from None


class _Announcement:
    """Prints the addresses once, as soon as the web server answers."""

    def __init__(self, command: BaseCommand, host: str, mlflow: bool) -> None:
        self._command = command
        shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else in_address(host)
        asked = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, in_address(host))
        self._base = f"http://{shown}:{settings.PORT}{settings.SUB_PATH}"
        self._probe = f"http://{asked}:{settings.PORT}{settings.SUB_PATH}/api/v1/health/live"
        self._lines = [
            ("application", f"{self._base}/"),
            ("admin", f"{self._base}/admin/"),
            ("API", f"{self._base}/api/v1/docs/"),
            *([("MLflow", home_url())] if mlflow or is_remote() else []),
            ("logs", str(settings.DATA_DIR / "logs")),
        ]
        self._done = False

    def print_if_ready(self) -> bool:
        """Print the addresses if the web server answers now; True only for the call that prints."""
        if self._done or not _answers(self._probe):
            return False
        self._done = True
        self._command.stdout.write("")
        for name, address in self._lines:
            self._command.stdout.write(f"  {name:<12} {address}")
        self._command.stdout.write("  Ctrl-C stops all of it.\n")
        return True


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1)
    except urllib.error.HTTPError as error:
        return error.code < 500 or error.code == 503  # 503: the web server runs, and something else is missing
    except OSError:
        return False
    return True
