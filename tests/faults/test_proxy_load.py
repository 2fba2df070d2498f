"""Sign-ins in loops and slow senders behind the shipped proxy: uploads keep their pace."""

import contextlib
import http.client
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.conf import settings

from tests.faults.test_pressure import Web, photo_number
from tests.multipart import CONTENT_TYPE, multipart_body
from tests.proxy import PROGRAM, Proxy
from tests.services import free_port
from tests.system import System

SIGN_INS, SENDERS, UPLOADS = 24, 30, 40


@pytest.fixture
def behind(tmp_path: Path, migrated: Path, static_files: Path) -> Iterator[tuple[Web, Proxy]]:
    if not Path(PROGRAM).exists():
        pytest.skip("nginx is not installed")
    system = System(tmp_path / "data", LOG_LEVEL="ERROR", STATIC_ROOT=str(static_files), RATE_UPLOAD="9999/min")
    system.take_database(migrated)
    web = Web(system, contextlib.nullcontext, threads=settings.WEB_THREADS)
    folder = tmp_path / "proxy"
    folder.mkdir()
    proxy = Proxy(folder, web=web.port, mlflow=free_port())
    try:
        proxy.start()
        yield web, proxy
    finally:
        proxy.stop()
        system.stop()


def ask(proxy: Proxy, path: str, body: bytes, headers: dict[str, str]) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=60, context=context)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"Host": "localhost", **headers})
        return connection.getresponse().status


def slowest_of_twenty(web: Web, proxy: Proxy, first: int) -> float:
    """The 95th percentile of the seconds of UPLOADS uploads through the proxy."""
    seconds = []
    for number in range(UPLOADS):
        body = multipart_body([("eye", "OD")], [("blob", photo_number(first + number))])
        headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {web.key}"}
        started = time.monotonic()
        assert ask(proxy, "/api/v1/predictions", body, headers) in (201, 202)
        seconds.append(time.monotonic() - started)
    return statistics.quantiles(seconds, n=20)[-1]


@pytest.mark.fault
def test_sign_in_loops_and_slow_senders_do_not_slow_uploads_down(behind: tuple[Web, Proxy]) -> None:
    web, proxy = behind
    usual = slowest_of_twenty(web, proxy, 1)
    over = threading.Event()

    def guess(number: int) -> None:
        attempt = 0
        token = "a" * 32
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrf-{web.port}={token}"}
        while not over.is_set():
            attempt += 1
            form = {"login": f"nobody-{number}-{attempt}", "password": "wrong", "csrfmiddlewaretoken": token}
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(proxy, "/accounts/login/", urlencode(form).encode(), headers)

    guessers = [threading.Thread(target=guess, args=(number,)) for number in range(SIGN_INS)]
    with contextlib.ExitStack() as lines:
        for _ in range(SENDERS):
            line = lines.enter_context(contextlib.closing(proxy.connect()))
            line.sendall(b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\nx")
        for guesser in guessers:
            guesser.start()
        try:
            under_load = slowest_of_twenty(web, proxy, 1000)
        finally:
            over.set()
            for guesser in guessers:
                guesser.join()
    print(f"95th percentile: {usual * 1000:.0f} ms, under load {under_load * 1000:.0f} ms")
    assert under_load <= max(2 * usual, 0.5)
