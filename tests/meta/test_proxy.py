"""The shipped proxy: it passes whole requests on, with the caller's address, and lets only admins to MLflow."""

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy import PROGRAM, Proxy
from tests.services import free_port

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="nginx is not installed")


class Behind(http.server.ThreadingHTTPServer):
    """A server behind the proxy, which keeps what it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.status = status
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                may_open = {"session=admin": 204, "session=reader": 403}.get(self.headers.get("Cookie", ""), 401)
                self.send_response(may_open if self.path == "/accounts/mlflow/" else server.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", free_port()), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Proxy, Behind, Behind]]:
    web, mlflow = Behind(), Behind()
    proxy = Proxy(tmp_path, web=web.server_port, mlflow=mlflow.server_port)
    try:
        proxy.start()
        yield proxy, web, mlflow
    finally:
        proxy.stop()
        web.shutdown()
        mlflow.shutdown()


def ask(proxy: Proxy, text: str, *, port: int = 0) -> int:
    with contextlib.closing(proxy.connect(port)) as line:
        line.sendall(text.encode())
        return int(line.recv(1000).split()[1])


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    assert Proxy(tmp_path, web=1, mlflow=2).check() == ""


def test_a_request_comes_through_whole_and_with_the_callers_own_address(servers: Any) -> None:
    proxy, web, _ = servers
    head = "POST /upload/ HTTP/1.1\r\nHost: screening.example\r\nX-Forwarded-For: 203.0.113.9\r\nContent-Length: 5\r\n"
    with contextlib.closing(proxy.connect()) as line:
        line.sendall(f"{head}\r\nab".encode())
        time.sleep(0.5)
        assert web.asked == [], "half a request goes nowhere"
        line.sendall(b"cde")
        assert line.recv(1000).split()[1] == b"200"
    ((path, headers, body),) = web.asked
    assert (path, body, headers["host"]) == ("/upload/", b"abcde", "screening.example")
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")


def test_thirty_slow_senders_reach_no_thread(servers: Any) -> None:
    proxy, web, _ = servers
    head = "POST /accounts/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with contextlib.ExitStack() as lines:
        for _ in range(30):
            lines.enter_context(contextlib.closing(proxy.connect())).sendall(head.encode())
        assert ask(proxy, "GET /api/v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n") == 200
        assert [path for path, _, _ in web.asked] == ["/api/v1/health/live"]
    too_large = f"POST /upload/ HTTP/1.1\r\nHost: x\r\nContent-Length: {200_000_000}\r\n\r\n"
    assert ask(proxy, too_large) == 413


def test_mlflow_opens_for_the_session_of_an_admin_only(servers: Any) -> None:
    proxy, _, mlflow = servers
    request = "GET /ajax-api/2.0/mlflow/experiments/search HTTP/1.1\r\nHost: x\r\n{}\r\n"
    port = proxy.mlflow_port
    assert ask(proxy, request.format(""), port=port) == 302
    assert ask(proxy, request.format("Cookie: session=reader\r\n"), port=port) == 403
    assert mlflow.asked == []
    assert ask(proxy, request.format("Cookie: session=admin\r\n"), port=port) == 200
    ((path, headers, _),) = mlflow.asked
    assert path.startswith("/ajax-api/") and "cookie" not in headers, "MLflow learns no session"
