"""Every request gets an id, one line in the log when it is answered, and its place in the metrics."""

import time
from contextvars import ContextVar
from typing import Any

from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject, empty
from django_structlog import signals
from django_structlog.middlewares import RequestMiddleware
from structlog.contextvars import get_contextvars

from cataract.core.metrics import REQUEST_SECONDS, REQUESTS

ID_HEADER = "X-Request-ID"
_began: ContextVar[float] = ContextVar("began")


class Observe(RequestMiddleware):
    """Middleware: bind the request's id to all that is logged meanwhile, and log the answer without its query string.

    A query may hold a patient key; a path holds none.
    """

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"


@receiver(signals.bind_extra_request_metadata)
def begin(**_: Any) -> None:
    """Remember when the request came."""
    _began.set(time.perf_counter())


@receiver(signals.bind_extra_request_finished_metadata)
def end(request: HttpRequest, response: HttpResponse, log_kwargs: dict[str, Any], **_: Any) -> None:
    """Add what the log line says of the answer, and count it."""
    _finish(request, response, log_kwargs)


@receiver(signals.update_failure_response)
def end_with_an_error(request: HttpRequest, response: HttpResponse, **_: Any) -> None:
    """Count a request whose view raised an error; the error itself is in the log already."""
    _finish(request, response, {})


def _finish(request: HttpRequest, response: HttpResponse, line: dict[str, Any]) -> None:
    seconds = time.perf_counter() - _began.get()
    route = _route(request)
    REQUESTS.labels(request.method or "", route, str(response.status_code)).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
    response.headers[ID_HEADER] = str(get_contextvars().get("request_id", ""))
    line |= {"route": route, "milliseconds": round(seconds * 1000, 1), "user": _user(request)}
    key = getattr(request, "auth", None)  # of Django REST framework
    if key is not None:
        line["key"] = str(key.pk)


def _route(request: HttpRequest) -> str:
    """The pattern of the address: one name for all photos, and few names in all."""
    return "unknown" if request.resolver_match is None else f"/{request.resolver_match.route}"


def _user(request: HttpRequest) -> int | None:
    """The id of the user, where something asked for it: the log costs no query."""
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = user.__dict__["_wrapped"]
    return None if user is None or user is empty else user.pk
