"""PostgreSQL is restarted under load, as after a crash: acknowledged photos are stored once, and the web continues."""

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.test_pressure import RECOVER, WAIT, Web, photo_number
from tests.services import Postgres
from tests.system import System

UPLOADS = 40


@pytest.fixture
def web(tmp_path: Path, own_postgres: Postgres, static_files: Path) -> Iterator[Web]:
    system = System(
        tmp_path,
        DATABASE_WAIT_SECONDS=str(WAIT),
        LOG_LEVEL="ERROR",
        STATIC_ROOT=str(static_files),
        DATABASE_URL=f"{own_postgres.url}/postgres",
        RATE_UPLOAD="100000/min",  # four callers that try again at once: the limit is not what this is about
    )
    system.manage("migrate")
    try:
        yield Web(system, contextlib.nullcontext)
    finally:
        system.stop()


@pytest.mark.fault
@pytest.mark.services
def test_a_restart_of_postgresql_costs_time_and_nothing_else(web: Web, own_postgres: Postgres) -> None:
    """Four callers send their photos until each is acknowledged, as the client does, always with the same key."""
    said: list[int] = []
    family = {process.pid for process in web.workers()}

    def send(number: int) -> None:
        deadline, status = time.monotonic() + 60, 0
        while status not in (201, 202):
            assert time.monotonic() < deadline, f"not acknowledged within a minute; the last answer was {status}"
            status = web.send(photo_number(number), key=f"restart {number}")[0]
            said.append(status)
            time.sleep(0.1 if status >= 400 else 0)

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, number) for number in range(UPLOADS)]
        web.system.await_true(lambda: len(said) >= 4, 60, "the first uploads")
        own_postgres.restart()
    for each in sent:
        each.result()
    assert 503 in said, "the restart came too late to prove anything"
    assert set(said) <= {201, 202, 409, 503}, "409: the broken first request seems to run until its lease is over"
    assert family <= {process.pid for process in web.workers()}, "it recovers without a restart"
    for number in range(UPLOADS):
        status, headers, *_ = web.send(photo_number(number), key=f"restart {number}")
        assert status in (201, 202) and "idempotency-replayed" in headers
    end = json.loads(web.system.python(RECOVER).splitlines()[-1])
    assert end["doctor"] == []
    assert end["images"] == end["predictions"] == end["done"] == UPLOADS
