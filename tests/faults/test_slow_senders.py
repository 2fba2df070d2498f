"""Thirty slow or stopped senders against a web server as `make run` starts it: others are answered."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.faults.test_pressure import RECOVER, Web
from tests.system import System

SENDERS = 30


@pytest.fixture
def web(tmp_path: Path, migrated: Path, static_files: Path) -> Iterator[Web]:
    system = System(tmp_path, LOG_LEVEL="ERROR", STATIC_ROOT=str(static_files))
    system.take_database(migrated)
    try:
        yield Web(system, contextlib.nullcontext, threads=settings.WEB_THREADS)
    finally:
        system.stop()


def begin(web: Web, number: int) -> socket.socket:
    """A connection on which the beginning of a large form was sent: of a photo, every third time of a login."""
    page = number % 3 == 0
    head = [
        f"POST {'/login/' if page else '/api/v1/predictions'} HTTP/1.1",
        "Host: localhost",
        f"Cookie: csrf-{web.port}={'a' * 32}" if page else f"Authorization: Bearer {web.key}",
        "Content-Type: multipart/form-data; boundary=b",
        "Content-Length: 1000000",
    ]
    line = socket.create_connection(("127.0.0.1", web.port), timeout=60)
    line.sendall("\r\n".join([*head, "", "--b\r\n"]).encode())
    return line


@pytest.mark.fault
def test_slow_senders_hold_nobody_up(web: Web) -> None:
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.2):
            for line in lines[::2]:
                line.sendall(b"x")

    with contextlib.ExitStack() as opened:
        lines = [opened.enter_context(begin(web, number)) for number in range(SENDERS)]
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            answers = [web.send() for _ in range(5)]
        finally:
            over.set()
            dripping.join()
    assert [answer[0] for answer in answers] == [201] * 5
    assert max(answer[3] for answer in answers) < 20, "they waited for the slow ones"
    assert web.send()[0] == 201
    end = json.loads(web.system.python(RECOVER).splitlines()[-1])
    assert end["doctor"] == [] and end["images"] == web.stored == 6, "nothing is kept of half a request"
