"""A real web server on a full disk, a locked database, with a broker that hangs or is gone: nothing is lost."""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
import pytest

from tests import photos
from tests.services import free_port
from tests.system import System

PREPARE = """
import json
from django.test import Client
from django.contrib.auth.models import User
from tests.faults.crashes import prepare
key = prepare()
client = Client()
client.force_login(User.objects.get())
print(json.dumps({"key": key, "session": next(iter(client.cookies.values())).value}))
"""
RECOVER = "import json; from tests.faults.crashes import recover; print(json.dumps(recover()))"
WAIT = 4  # seconds for a lock
LARGE = photos.encode(np.random.default_rng(0).integers(0, 256, (1700, 1700, 3), dtype=np.uint8), "PNG")
FILE_LIMIT = 6_000_000
B = "a-boundary-that-is-in-no-photo"


class Web:
    """A running system and somebody who sends photos to it. `stored` counts what was acknowledged."""

    def __init__(self, system: System, lock: Callable[[], Any]) -> None:
        self.system, self.lock, self.stored, self.port = system, lock, 0, free_port()
        prepared = json.loads(system.python(PREPARE).splitlines()[-1])
        self.key, self.session = prepared["key"], prepared["session"]
        self.broker = system.start_broker()
        self.process = psutil.Process(system.start_web(self.port).pid)
        system.await_true(self._ready, 60, "the web server")

    def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "/api/v1/health/ready", b"", {})[0] == 200
        return False

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError):  # it answered before it had read all
                connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def send(self, data: bytes | None = None, *, page: bool = False) -> tuple[int, dict[str, str], bytes, float]:
        """One upload: status, headers, body, seconds."""
        seed = int.from_bytes(os.urandom(4))
        noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        fields = {"patient": "P-1", "patient_key": "P-1", "eye": "OD", "key": str(uuid.uuid4())}
        parts = [
            f'--{B}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
        ]
        head = f'--{B}\r\nContent-Disposition: form-data; name="photo"; filename="blob"\r\n\r\n'.encode()
        body = b"".join(parts) + head + (data or photos.encode(noise)) + f"\r\n--{B}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={B}"}
        token = "a" * 32
        if page:
            cookies = f"session-{self.port}={self.session}; csrf-{self.port}={token}"
            headers |= {"Cookie": cookies, "X-CSRFToken": token}
        else:
            headers |= {"Authorization": f"Bearer {self.key}"}
        started = time.monotonic()
        status, answered, text = self.ask("POST", "/upload/" if page else "/api/v1/predictions", body, headers)
        self.stored += status in (201, 202, 303)
        return status, answered, text, time.monotonic() - started

    def workers(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def limit_files(self, length: int) -> None:
        """No file of the web processes may grow beyond this: to them the disk is full."""
        for process in self.workers():
            if "cataract.ml.guard" not in process.cmdline():  # decoders write nothing at all
                process.rlimit(psutil.RLIMIT_FSIZE, (length, psutil.RLIM_INFINITY))


@pytest.fixture
def on_sqlite(tmp_path: Path, migrated: Path, static_files: Path) -> Iterator[Web]:
    system = System(tmp_path, DATABASE_WAIT_SECONDS=str(WAIT), LOG_LEVEL="ERROR", STATIC_ROOT=str(static_files))
    system.take_database(migrated)

    @contextlib.contextmanager
    def lock() -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite3", timeout=10, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield
            holder.execute("ROLLBACK")

    try:
        yield Web(system, lock)
    finally:
        system.stop()


@pytest.fixture
def on_postgresql(tmp_path: Path, postgres_url: str, static_files: Path) -> Iterator[Web]:
    system = System(
        tmp_path,
        DATABASE_WAIT_SECONDS=str(WAIT),
        LOG_LEVEL="ERROR",
        STATIC_ROOT=str(static_files),
        DATABASE_URL=postgres_url,
    )
    system.manage("migrate")

    @contextlib.contextmanager
    def lock() -> Iterator[None]:
        with psycopg.connect(postgres_url) as holder:
            holder.execute("LOCK TABLE predictions_eyeimage IN ACCESS EXCLUSIVE MODE")
            yield
            holder.rollback()

    try:
        yield Web(system, lock)
    finally:
        system.stop()


@pytest.mark.slow
def test_sqlite_under_pressure(on_sqlite: Web) -> None:
    go_through(on_sqlite)


@pytest.mark.slow
@pytest.mark.services
def test_postgresql_under_pressure(on_postgresql: Web) -> None:
    go_through(on_postgresql)


def go_through(web: Web) -> None:
    assert web.send()[0] == 201
    a_body_of_ten_gigabytes_is_refused_unread(web)
    a_full_disk_takes_nothing(web)
    a_locked_database_is_waited_for(web)
    a_broker_that_hangs_holds_nobody_up(web)
    end = json.loads(web.system.python(RECOVER).splitlines()[-1])
    assert end["doctor"] == []
    assert end["images"] == end["predictions"] == end["done"] == web.stored


def a_body_of_ten_gigabytes_is_refused_unread(web: Web) -> None:
    before = sum(process.memory_info().rss for process in web.workers())
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as raw:
        raw.sendall(b"POST /api/v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n")
        assert raw.recv(200).startswith(b"HTTP/1.1 413")
    assert sum(process.memory_info().rss for process in web.workers()) - before < 10_000_000


def a_full_disk_takes_nothing(web: Web) -> None:
    web.limit_files(FILE_LIMIT)
    for page in (False, True):
        status, headers, body, _ = web.send(LARGE, page=page)
        assert status == 503 and headers["retry-after"] == "300" and b"was not saved" in body
    folder = web.system.data_dir / "photos"
    assert not list(folder.rglob(".tmp-*"))
    web.limit_files(psutil.RLIM_INFINITY)
    assert web.send(LARGE)[0] == 201


def a_locked_database_is_waited_for(web: Web) -> None:
    with web.lock():
        found: list[Any] = []
        sender = threading.Thread(target=lambda: found.append(web.send()))
        sender.start()
        time.sleep(WAIT / 2)
    sender.join()
    assert found[0][0] == 201 and found[0][3] >= WAIT / 2 - 0.5
    with web.lock():
        status, headers, body, _ = web.send()
        assert status == 503 and json.loads(body)["code"] == "database_busy" and headers["retry-after"] == "5"
        status, headers, body, _ = web.send(page=True)
        assert status == 503 and headers["retry-after"] == "5"
    assert web.send()[0] == 201 and web.send(page=True)[0] == 303


def a_broker_that_hangs_holds_nobody_up(web: Web) -> None:
    server = psutil.Process(web.broker.pid)
    server.send_signal(signal.SIGSTOP)
    answers = [web.send() for _ in range(20)]
    server.send_signal(signal.SIGCONT)
    server.send_signal(signal.SIGKILL)
    answers += [web.send() for _ in range(5)]
    assert {answer[0] for answer in answers} == {201}
    assert max(answer[3] for answer in answers) <= 2
