"""Runs the services of one system side by side: starts, restarts, logs and stops them in order.

Written here because honcho, the usual choice, signals whole process groups and kills after 5 s: both cut running tasks.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from cataract.core.processes import die_with_parent

QUICK_DEATH_SECONDS: Final = 60.0
QUICK_DEATHS: Final = 5
FIRST_PAUSE_SECONDS = 1.0  # doubled after each quick death
COLOURS: Final = ("36", "33", "35", "32", "34")


@dataclasses.dataclass(frozen=True)
class Service:
    """One program to keep running.

    `stop_signals`: sent one after the other, each with the seconds to wait after it; SIGKILL comes last.
    `essential`: the system stops when this one cannot be kept running; others are given up and named.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stop_signals: tuple[tuple[int, float], ...] = ((signal.SIGTERM, 10.0),)
    essential: bool = True


class _Running:
    """A started service: its process, and a thread that copies what it says to the terminal and to its log."""

    def __init__(self, service: Service, log_dir: Path, colour: str) -> None:
        self.service = service
        self.restart_at: float | None = None
        self.quick_deaths = 0
        self._prefix = f"{service.name:>7} | "
        if sys.stdout.isatty():
            self._prefix = f"\x1b[{colour}m{self._prefix}\x1b[0m"
        self._log = RotatingFileHandler(log_dir / f"{service.name}.log", maxBytes=5_000_000, backupCount=3)
        self.start()

    def start(self) -> None:
        self.restart_at = None
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            list(self.service.command),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.service.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the services in order
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),
        )
        threading.Thread(target=self._copy_output, args=(self.process,), daemon=True).start()

    def _copy_output(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.say(line.rstrip("\n"))

    def say(self, line: str) -> None:
        self._log.handle(logging.makeLogRecord({"msg": line}))
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone; the log is not
            print(self._prefix + line, flush=True)  # noqa: T201

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, signal_number: int, *, to_group: bool = False) -> None:
        with contextlib.suppress(ProcessLookupError):
            if to_group:
                os.killpg(self.process.pid, signal_number)
            elif self.alive:
                self.process.send_signal(signal_number)


class Supervisor:
    """Starts services, restarts the ones that end, and stops all of them when asked to or when one cannot run."""

    def __init__(self, log_dir: Path) -> None:
        log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._log_dir = log_dir
        self._running: list[_Running] = []
        self._stops_asked = 0

    def handle_signals(self) -> None:
        """From now on SIGINT and SIGTERM ask for a stop; a second one asks for a quick stop."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, _number: int, _frame: object) -> None:
        self._stops_asked += 1

    @property
    def stopping(self) -> bool:
        return self._stops_asked > 0

    def start(self, service: Service) -> None:
        self._running.append(_Running(service, self._log_dir, COLOURS[len(self._running) % len(COLOURS)]))

    def watch(self, every_tick: Callable[[], None] = lambda: None) -> int:
        """Keep the services running until a stop is asked for (0) or an essential one cannot be kept running (1)."""
        while not self.stopping:
            for running in list(self._running):
                if not self._keep(running):
                    return 1
            every_tick()
            time.sleep(0.2)
        return 0

    def _keep(self, running: _Running) -> bool:
        """Restart this service when it has ended; False when it is essential and keeps dying."""
        if running.alive:
            return True
        now = time.monotonic()
        if running.restart_at is not None:
            if now >= running.restart_at:
                running.start()
            return True
        running.send(signal.SIGKILL, to_group=True)  # children it left behind would hold its port
        quick = now - running.started_at < QUICK_DEATH_SECONDS
        running.quick_deaths = running.quick_deaths + 1 if quick else 1
        ended = f"ended with status {running.process.returncode}"
        if running.quick_deaths >= QUICK_DEATHS:
            running.say(f"{ended} {QUICK_DEATHS} times in a row; see {self._log_dir / running.service.name}.log")
            if running.service.essential:
                return False
            running.say("given up; everything else goes on without it")
            self._running.remove(running)
            return True
        pause = FIRST_PAUSE_SECONDS * 2 ** (running.quick_deaths - 1)
        running.say(f"{ended}; starting it again in {pause:g} s")
        running.restart_at = now + pause
        return True

    def stop(self) -> None:
        """Stop all services together but the first ones started last: the broker outlives those who use it."""
        first, rest = self._running[:1], self._running[1:]
        for group in (rest, first):
            self._stop_group(group)
        self._running.clear()

    def _stop_group(self, group: list[_Running]) -> None:
        threads = [threading.Thread(target=self._stop_one, args=(running,)) for running in group]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _stop_one(self, running: _Running) -> None:
        asked = self._stops_asked
        for number, seconds in running.service.stop_signals:
            running.send(number)
            deadline = time.monotonic() + seconds
            # A further Ctrl-C cuts each wait short.
            while running.alive and time.monotonic() < deadline and self._stops_asked <= max(asked, 1):
                time.sleep(0.05)
            if not running.alive:
                break
        running.send(signal.SIGKILL, to_group=True)  # what is left of its group
        running.process.wait()
