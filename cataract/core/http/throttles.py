"""Rate limits for each caller, counted over all web processes.

While the broker's Redis is unavailable, each process counts alone, so a caller gets the full rate from each process.
"""

import time
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from cataract.core.broker import counters
from cataract.core.errors import TooMuch
from cataract.core.http.users import user_of
from cataract.core.models import ApiToken

_DAY = 24 * 3600


def spend_upload(request: HttpRequest, scope: str) -> None:
    """Count one form with photos of this user at the rate of the API's `scope`, and its bytes. Raises TooMuch."""
    most, seconds = cast(tuple[int, int], PerCaller().parse_rate(settings.API_RATES[scope]))
    window, passed = divmod(time.time(), seconds)
    if counters.count(f"throttle-{scope}-user-{user_of(request).pk}-{int(window)}", seconds=seconds) > most:
        wait = int(seconds - passed) + 1
        raise TooMuch(f"You have sent very much. Nothing was saved. Send it again in {wait} seconds.", retry_after=wait)
    spend_bytes(request)


def spend_bytes(request: HttpRequest | Request) -> None:
    """Count the bytes that this user sends today. Raises TooMuch above MAX_BYTES_PER_DAY."""
    day, passed = divmod(time.time(), _DAY)
    sent = int(request.META.get("CONTENT_LENGTH") or 0)
    total = counters.count(f"bytes-{user_of(request).pk}-{int(day)}", seconds=_DAY, by=sent)
    if total > settings.MAX_BYTES_PER_DAY:
        text = f"You have sent {settings.MAX_BYTES_PER_DAY / 1e9:g} GB today, the most for one user. Nothing was saved."
        raise TooMuch(f"{text} Go on tomorrow, or ask an administrator.", retry_after=int(_DAY - passed) + 1)


class PerCaller(SimpleRateThrottle):
    """One rate for each scope and caller: the key, else the user, else the address.

    A view names its scopes by method in `throttle_scopes`; else `read` counts for GET and `write` for the rest. The
    minutes and hours of a rate are those of the clock, so they are the same in every process.
    """

    def __init__(self) -> None:
        """The rate depends on the request: see `allow_request`."""

    def allow_request(self, request: Request, view: Any) -> bool:
        usual = "read" if request.method in ("GET", "HEAD", "OPTIONS") else "write"
        self.scope = getattr(view, "throttle_scopes", {}).get(request.method, usual)
        self.rate = settings.API_RATES[self.scope if request.user.is_authenticated else "anonymous"]
        most, seconds = cast(tuple[int, int], self.parse_rate(self.rate))
        window, passed = divmod(self.timer(), seconds)
        self._left = seconds - passed
        return counters.count(f"{self.get_cache_key(request, view)}-{int(window)}", seconds=seconds) <= most

    def wait(self) -> float:
        """Seconds until the next minute or hour begins."""
        return self._left

    def get_cache_key(self, request: Request, view: Any) -> str:
        if isinstance(request.auth, ApiToken):
            caller = f"key-{request.auth.pk}"
        elif request.user.is_authenticated:
            caller = f"user-{request.user.pk}"
        else:
            caller = f"address-{self.get_ident(request)}"
        return f"throttle-{self.scope}-{caller}"
