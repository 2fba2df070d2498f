"""A real web server that is killed, on a full disk, with a locked database, with a broker that hangs: nothing is lost.

On SQLite with the embedded broker, and on PostgreSQL with Redis.
"""

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
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
import pytest

from tests import photos
from tests.multipart import CONTENT_TYPE, multipart_body
from tests.services import free_port
from tests.system import System, kill_tree

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


class Web:
    """A running system and a client that sends photos to it. `stored` counts what was acknowledged."""

    def __init__(self, system: System, lock: Callable[[], Any], *, threads: int = 4) -> None:
        self.system, self.lock, self.stored, self.port, self.threads = system, lock, 0, free_port(), threads
        prepared = json.loads(system.python(PREPARE).splitlines()[-1])
        self.key, self.session = prepared["key"], prepared["session"]
        self.broker = system.start_broker()
        self.start()

    def start(self) -> None:
        self.process = psutil.Process(self.system.start_web(self.port, threads=self.threads).pid)
        self.system.await_true(self._ready, 60, "the web server")

    def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "/api/v1/health/ready", b"", {})[0] == 200
        return False

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError):  # it answered before it had read the whole body
                connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def send(
        self, data: bytes | None = None, *, page: bool = False, key: str = ""
    ) -> tuple[int, dict[str, str], bytes, float]:
        """One upload: status, headers, body, seconds. Without `data` a unique photo."""
        data = data or photo_number(int.from_bytes(os.urandom(4)))
        fields = {"patient_key": "P-1", "key": str(uuid.uuid4())} if page else {"patient": "P-1"}
        fields["eye"] = "OD"
        body = multipart_body(fields.items(), [("blob", data)])
        headers = {"Content-Type": CONTENT_TYPE}
        token = "a" * 32
        if page:
            cookies = f"session-{self.port}={self.session}; csrf-{self.port}={token}"
            headers |= {"Cookie": cookies, "X-CSRFToken": token}
        else:
            headers |= {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        started = time.monotonic()
        status, answered, text = self.ask("POST", "/upload/" if page else "/api/v1/predictions", body, headers)
        self.stored += status in (201, 202, 303) and "idempotency-replayed" not in answered
        return status, answered, text, time.monotonic() - started

    def workers(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def limit_files(self, length: int) -> None:
        """No file of the web processes may grow beyond this: to them the disk is full."""
        for process in self.workers():
            if "cataract.ml.photos.decoders" not in process.cmdline():  # decoders write nothing at all
                process.rlimit(psutil.RLIMIT_FSIZE, (length, psutil.RLIM_INFINITY))


def photo_number(seed: int) -> bytes:
    """A small photo of noise."""
    return photos.encode(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


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
        REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
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


@pytest.mark.fault
def test_sqlite_under_pressure(on_sqlite: Web) -> None:
    go_through(on_sqlite)


@pytest.mark.fault
@pytest.mark.services
def test_postgresql_under_pressure(on_postgresql: Web) -> None:
    go_through(on_postgresql)


def go_through(web: Web) -> None:
    assert web.send()[0] == 201
    ten_equal_posts_at_once_are_one_photo(web)
    what_was_sent_when_it_was_killed_is_there_once(web)
    a_body_of_ten_gigabytes_is_refused_unread(web)
    a_full_disk_takes_nothing(web)
    if "DATABASE_URL" not in web.system.env:
        a_full_disk_under_the_database_takes_nothing(web)
    a_locked_database_is_waited_for(web)
    a_broker_that_hangs_holds_nobody_up(web)
    end = json.loads(web.system.python(RECOVER).splitlines()[-1])
    assert end["doctor"] == []
    assert end["images"] == end["predictions"] == end["done"] == web.stored


def ten_equal_posts_at_once_are_one_photo(web: Web) -> None:
    data, before = photo_number(1), web.stored
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: web.send(data, key="ten at once"), range(10)))
    assert {answer[0] for answer in answers} <= {201, 202, 409}
    found = {body["existing"] if "existing" in body else body["id"] for body in (json.loads(a[2]) for a in answers)}
    assert len(found) == 1 and web.stored == before + 1


def what_was_sent_when_it_was_killed_is_there_once(web: Web) -> None:
    """kill -9 of the web server among 24 uploads by four callers; then each sends again with its key."""
    acknowledged: list[int] = []

    def send(number: int) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the outcome of these is unknown
            if web.send(photo_number(100 + number), key=f"killed {number}")[0] in (201, 202):
                acknowledged.append(number)

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, number) for number in range(24)]
        web.system.await_true(lambda: len(acknowledged) >= 4, 60, "the first uploads")
        kill_tree(web.process.pid)
        wait(sent)
    assert len(acknowledged) < 24, "the kill came too late to prove anything"
    web.start()
    web.stored -= len(acknowledged)  # they are counted when they are seen again, below
    for number in range(24):
        status, headers, body, _ = web.send(photo_number(100 + number), key=f"killed {number}")
        while status == 409 and json.loads(body)["code"] == "request_running":  # until the lease of the dead is over
            time.sleep(float(headers["retry-after"]))
            status, headers, body, _ = web.send(photo_number(100 + number), key=f"killed {number}")
        assert status in (201, 202), body
        assert number not in acknowledged or "idempotency-replayed" in headers
        web.stored += "idempotency-replayed" in headers


def a_body_of_ten_gigabytes_is_refused_unread(web: Web) -> None:
    before = sum(process.memory_info().rss for process in web.workers())
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as raw:
        raw.sendall(b"POST /api/v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n")
        assert raw.recv(200).startswith(b"HTTP/1.1 413")
    assert sum(process.memory_info().rss for process in web.workers()) - before < 10_000_000


def a_full_disk_takes_nothing(web: Web) -> None:
    folder = web.system.data_dir / "photos"
    left_by_the_killed = set(folder.rglob(".tmp-*"))
    web.limit_files(FILE_LIMIT)
    for page in (False, True):
        status, headers, body, _ = web.send(LARGE, page=page)
        assert status == 503 and headers["retry-after"] == "300" and b"was not saved" in body
    assert set(folder.rglob(".tmp-*")) == left_by_the_killed
    web.limit_files(psutil.RLIM_INFINITY)
    assert web.send(LARGE)[0] == 201


def a_full_disk_under_the_database_takes_nothing(web: Web) -> None:
    """Room for a small photo and for SQLite's index of its log (32 KB), and none for all pages of the new rows."""
    web.limit_files(36_000)
    status, headers, body, _ = web.send(photo_number(2))
    assert status == 503 and headers["retry-after"], body
    for address in ("/api/v1/releases", "/api/v1/health/ready"):  # results are not shown: that goes on record first
        assert web.ask("GET", address, b"", {"Authorization": f"Bearer {web.key}"})[0] == 200
    web.limit_files(psutil.RLIM_INFINITY)
    assert web.send(photo_number(2))[0] == 201
    with contextlib.closing(sqlite3.connect(web.system.data_dir / "db.sqlite3", timeout=20)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


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
