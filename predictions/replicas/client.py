"""Ask a replica of Ray Serve for the outcome of a photo, over HTTP. This process never imports Ray.

A replica that dies takes its requests with it: asking again is harmless, because an outcome changes nothing. Replicas
that do not answer at all are left alone for a while, so that uploads go to the workers without waiting each time.
"""

import logging
import threading
import time
from functools import cache

import urllib3
from django.conf import settings

from cataract.core import metrics
from cataract.ml.cascade.cascade import Outcome
from predictions.replicas import wire

log = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0  # after a failure nobody is asked; then one upload tries, and the others wait for what it finds
_RETRY_SECONDS = 0.05
_RETRIED = {500, 502, 503, 504}  # a replica died, or none is ready: another may answer


class ReplicasUnavailable(Exception):
    """No replica has answered in time, or the one that was asked cannot serve this release."""


def predict(question: wire.Question) -> Outcome:
    """The outcome of a photo by a replica, within settings.REPLICA_WAIT_SECONDS. Raises ReplicasUnavailable."""
    if not _breaker.may_ask():
        metrics.REPLICA_REQUESTS.labels("skipped").inc()
        raise ReplicasUnavailable("The replicas did not answer a moment ago.")
    try:
        outcome = _ask(question)
    except ReplicasUnavailable:
        metrics.REPLICA_REQUESTS.labels("failed").inc()
        raise
    metrics.REPLICA_REQUESTS.labels("answered").inc()
    return outcome


def are_healthy() -> bool:
    """Whether Ray Serve answers and says that it is well."""
    try:
        reply = _pool(settings.RAY_URL).request("GET", "/-/healthz", timeout=2.0, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return reply.status == 200


def _ask(question: wire.Question) -> Outcome:
    deadline = time.monotonic() + settings.REPLICA_WAIT_SECONDS
    address, body = wire.address_of(question), question.pixels.tobytes()
    failure = "They took too long."
    while (left := deadline - time.monotonic()) > 0:
        try:
            reply = _pool(settings.RAY_URL).request("POST", address, body=body, timeout=left, retries=False)
        except urllib3.exceptions.HTTPError as error:
            failure = str(error)
            if isinstance(error, urllib3.exceptions.ProtocolError):  # the connection broke: its proxy may be back
                time.sleep(_RETRY_SECONDS)
                continue
            break
        if reply.status == 200:
            _breaker.close()
            try:
                return wire.unpack(reply.data)
            except (ValueError, KeyError, TypeError) as error:
                raise ReplicasUnavailable(f"An answer cannot be read: {error}") from error
        failure = f"{reply.status} {reply.data[:200]!r}"
        if reply.status not in _RETRIED:
            raise ReplicasUnavailable(f"A replica refuses: {failure}")  # they run: others may ask
        metrics.REPLICA_REQUESTS.labels("repeated").inc()
        time.sleep(_RETRY_SECONDS)
    _breaker.open()
    log.warning("No replica of Ray Serve has answered: %s", failure)
    raise ReplicasUnavailable(f"No replica has answered: {failure}")


@cache
def _pool(url: str) -> urllib3.HTTPConnectionPool:
    """Connections that are kept open, one for each thread that asks at once."""
    return urllib3.connection_from_url(url, maxsize=settings.WEB_THREADS, block=False)


class _Breaker:
    """Keeps callers away from replicas that do not answer; after a pause one of them tries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: float | None = None

    def may_ask(self) -> bool:
        with self._lock:
            if self._until is None:
                return True
            if time.monotonic() < self._until:
                return False
            self._until = time.monotonic() + settings.REPLICA_WAIT_SECONDS + PAUSE_SECONDS
            return True

    def open(self) -> None:
        with self._lock:
            self._until = time.monotonic() + PAUSE_SECONDS

    def close(self) -> None:
        self._until = None


_breaker = _Breaker()
