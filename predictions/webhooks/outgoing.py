"""The only module that connects to addresses given by users: never to a machine inside our own network.

The name is resolved once, all its addresses must be public, and the connection goes to the address that was checked:
a name that changes in between (DNS rebinding) reaches nothing. Redirects are not followed. A whole call has a
time limit, so a receiver that drips its answer byte by byte delays no other.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

TIMEOUT_SECONDS = 5.0  # for each wait on the network
CALL_SECONDS = 10.0  # for a whole call, even if data keeps arriving
# NAT64 (RFC 6052) and IPv4-compatible addresses hold an IPv4 address in their last 32 bits.
_HOLD_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_OWN_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215: whatever a network makes of it


class AddressRefused(Exception):
    """This address may not be called; the text says why."""


def check_url(url: str) -> SplitResult:
    """Parse an address whose text alone gives no reason to refuse it. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("This is not a web address.") from None
    allowed = ("https", "http") if settings.WEBHOOK_ALLOW_PRIVATE else ("https",)
    if parts.scheme not in allowed:
        raise AddressRefused("The address must start with https://.")
    if not parts.hostname or parts.username or parts.password or port == 0:
        raise AddressRefused("The address must name a host, without user and password.")
    if not settings.WEBHOOK_ALLOW_PRIVATE and _is_inside(parts.hostname):
        raise AddressRefused(f"The host {parts.hostname} lies inside this network.")
    return parts


def resolve(host: str, port: int) -> tuple[Any, ...]:
    """A socket address (family, sockaddr) of `host`. Raises AddressRefused unless all of its addresses are public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"The host {host} is not found.") from error
    if not settings.WEBHOOK_ALLOW_PRIVATE:
        for *_, address in found:
            if not _is_public(str(address[0])):
                raise AddressRefused(f"The host {host} lies inside this network.")
    family, _, _, _, address = found[0]
    return family, address


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """POST `body` and return the status of the answer; its body is not read.

    Raises AddressRefused, OSError (TimeoutError after CALL_SECONDS), http.client.HTTPException.
    """
    parts = check_url(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    family, address = resolve(host, port)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with contextlib.closing(connection), _called_off(socket.socket(family, socket.SOCK_STREAM)) as opened:
        opened.settimeout(TIMEOUT_SECONDS)
        opened.connect(address)
        connection.sock = _encrypted(opened, host) if secure else opened
        connection.request("POST", path, body, {**headers, "Host": parts.netloc.rpartition("@")[2]})
        return connection.getresponse().status


@contextlib.contextmanager
def _called_off(opened: socket.socket) -> Iterator[socket.socket]:
    """`opened`, shut down after CALL_SECONDS; the block then raises TimeoutError."""
    over = threading.Event()
    descriptor = opened.dup()  # the same connection: wrap_socket detaches `opened`

    def end() -> None:
        over.set()
        with contextlib.suppress(OSError):
            descriptor.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(CALL_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        with descriptor, opened:
            yield opened
    except (OSError, http.client.HTTPException):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
    if over.is_set():  # even if half an answer looked complete
        raise TimeoutError(f"The call took longer than {CALL_SECONDS:.0f} s.")


def _encrypted(opened: socket.socket, host: str) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(opened, server_hostname=host)


def _is_inside(host: str) -> bool:
    """Whether the text of a host names our own network; `resolve` checks the addresses behind a name."""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    with contextlib.suppress(ValueError):
        return not _is_public(host)
    with contextlib.suppress(OSError):  # an IPv4 address in disguise: 2130706433, 0x7f000001, 127.1
        return not _is_public(socket.inet_ntoa(socket.inet_aton(host)))
    return False


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = _inner(found) if isinstance(found, ipaddress.IPv6Address) else None
    is_own = found.version == 6 and found in _OWN_NAT64
    return found.is_global and not found.is_multicast and not is_own and (inner is None or inner.is_global)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4, NAT64 (RFC 6052) or IPv4-compatible."""
    if any(address in network for network in _HOLD_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
