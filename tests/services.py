"""Real servers for tests: PostgreSQL and Redis, from TEST_DATABASE_URL and TEST_REDIS_URL or started here.

In CI (CI=1) `.ci/run` gives both; a missing one is then a failure, never a skip.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases may be made, without a database name."""
    given = os.environ.get("TEST_DATABASE_URL", "")
    if given:
        yield given.rpartition("/")[0]
        return
    _fail_in_ci("TEST_DATABASE_URL")
    with _started_postgres() as server:
        yield server.url


@pytest.fixture
def own_postgres() -> Iterator["Postgres"]:
    """A PostgreSQL server of this test alone, which it may restart."""
    with _started_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a new, empty database, dropped afterwards."""
    name = f"cataract_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis database that this test process may empty; pytest-xdist's processes share the server."""
    given = os.environ.get("TEST_REDIS_URL", "")
    if given:
        number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        yield f"{given.rpartition('/')[0]}/{number}"
        return
    _fail_in_ci("TEST_REDIS_URL")
    with _started_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """The URL of an empty Redis database."""
    with Redis.from_url(redis_server) as client:
        client.flushdb()
    yield redis_server


def _fail_in_ci(name: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(
            f"{name} is not set: in CI the servers are given by .ci/run, and nothing that needs them is skipped."
        )


class Postgres(NamedTuple):
    """A server that was started here: its URL without a database name, and how pg_ctl is called for it."""

    url: str
    control: list[str]
    cluster: Path

    def restart(self) -> None:
        """Restart as after a crash: every connection breaks, and the log is read to make the data whole."""
        _run([*self.control, "-m", "immediate", "restart"], self.cluster)


@contextlib.contextmanager
def _started_postgres() -> Iterator[Postgres]:
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    folder = Path(found).parent if found else (binaries[-1] if binaries else None)
    if folder is None:
        pytest.fail("PostgreSQL is not installed (Debian: postgresql). Install it, or set TEST_DATABASE_URL.")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    port, cluster = free_port(), Path(tempfile.mkdtemp(prefix="cataract-pg-"))
    if as_user:
        shutil.chown(cluster, "postgres")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={cluster} -c fsync=off"
    control = [*as_user, str(folder / "pg_ctl"), "-D", str(cluster / "data"), "-w"]
    try:
        _run([*as_user, str(folder / "initdb"), "-D", str(cluster / "data"), "-U", "postgres", "-A", "trust"], cluster)
        _run([*control, "-l", str(cluster / "log"), "-o", options, "start"], cluster)
        try:
            yield Postgres(f"postgres://postgres@127.0.0.1:{port}", control, cluster)
        finally:
            _run([*control, "-m", "immediate", "stop"], cluster)
    finally:
        shutil.rmtree(cluster, ignore_errors=True)


@contextlib.contextmanager
def _started_redis() -> Iterator[str]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        pytest.fail("Redis is not installed (Debian: redis-server). Install it, or set TEST_REDIS_URL.")
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _await_redis(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def _await_redis(url: str) -> None:
    deadline = time.monotonic() + 10
    with Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
                return
            except RedisError:
                assert time.monotonic() < deadline, f"{url} does not answer"
                time.sleep(0.05)


def _run(command: list[str], folder: Path) -> None:
    # To a file, not a pipe: the server that pg_ctl leaves behind would keep the pipe open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, check=False)
        output.seek(0)
        assert done.returncode == 0, output.read()
