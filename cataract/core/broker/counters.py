"""Count across processes in the broker's Redis; while it is unavailable, in the memory of this process.

A call waits at most 0.2 s for Redis. After an error, calls skip Redis for 5 s, so a stopped server, which accepts
connections but never answers, costs callers little.
"""

import threading
import time

from django.conf import settings
from django.core.cache import cache
from redis import Redis
from redis.exceptions import RedisError

from cataract.core.broker.server import connect

_TIMEOUT_SECONDS = 0.2
_SKIP_SECONDS = 5.0

_lock = threading.Lock()
_clients: dict[str, Redis] = {}
_away_until = 0.0


def count(key: str, *, seconds: int, by: int = 1) -> int:
    """Increase the counter `key` and return it; it expires after `seconds` without a call."""
    global _away_until
    if time.monotonic() >= _away_until:
        try:
            return _count_in_redis(key, seconds, by)
        except (RedisError, OSError):
            _away_until = time.monotonic() + _SKIP_SECONDS
    cache.add(key, 0, timeout=seconds)
    return int(cache.incr(key, by))


def _count_in_redis(key: str, seconds: int, by: int) -> int:
    with _lock:
        if settings.CELERY_BROKER_URL not in _clients:
            _clients[settings.CELERY_BROKER_URL] = connect(settings.CELERY_BROKER_URL, timeout=_TIMEOUT_SECONDS)
        client = _clients[settings.CELERY_BROKER_URL]
    with client.pipeline(transaction=False) as both:
        both.incrby(key, by)
        both.expire(key, seconds)
        return int(both.execute()[0])
