"""Limits on request bodies, and headers that keep pages out of browser caches and away from devices."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from cataract.core.errors import DomainError, RequestRefused
from cataract.core.http.handlers import answer

_ANONYMOUS_BYTES = 65_536


class BoundedBody:
    """Middleware: refuse bodies that are too long, of unknown length or compressed, by their headers alone.

    No byte of such a body is read: a claimed length of 10 GB costs nothing. The upload handlers limit how much of an
    accepted body is kept.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = _refuse_body(request)
        return self.get_response(request) if refusal is None else answer(request, refusal)


class BoundedAnonymousBody:
    """Middleware: nobody who is not signed in sends a page more than a form: no byte of it is read.

    Stands before the CSRF check, which reads a body to find its token, whoever sent it. The API asks for its key first.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.headers.get("Content-Length", "").strip()
        is_long = length.isascii() and length.isdigit() and int(length[:20]) > _ANONYMOUS_BYTES
        if is_long and not request.path.startswith("/api/") and not request.user.is_authenticated:
            text = "The request is larger than 64 kB. Log in before you send photos."
            return answer(request, RequestRefused("request_too_large", 413, text))
        return self.get_response(request)


def _refuse_body(request: HttpRequest) -> DomainError | None:
    headers = request.headers
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        text = "The request body is compressed. Send it without Content-Encoding."
        return RequestRefused("content_encoding", 415, text)
    length = headers.get("Content-Length", "").strip()
    if not length and headers.get("Transfer-Encoding"):
        return RequestRefused("length_required", 411, "Send the request with a Content-Length header.")
    limit = _limit(request.path)
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        text = f"The request is larger than {limit / 1e6:.0f} MB. Send a smaller photo."
        return RequestRefused("request_too_large", 413, text)
    return None


def _limit(path: str) -> int:
    """The most bytes of a body: a whole batch; elsewhere enough for the form to refuse a photo that is too large."""
    return settings.MAX_BATCH_BYTES + 1_000_000 if "/batches" in path else settings.MAX_BODY_BYTES


def leave_nothing_behind(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: browsers store no response unless its view allows it; logging out clears what they stored.

    The back button shows the login page to the next user of a shared computer (OWASP ASVS 5.0, 14.3.1 and 14.3.2).
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.resolver_match is not None and request.resolver_match.url_name == "account_logout":
            response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response

    return middleware


_DEVICES = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")


def ask_for_no_device(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: no page may use the camera, the microphone or another device, except a view that says so."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Permissions-Policy", _permissions_policy())
        return response

    return middleware


def may_use_camera(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view whose page may ask for the camera."""

    @wraps(view)
    def with_camera(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.headers["Permissions-Policy"] = _permissions_policy("camera")
        return response

    return with_camera


def _permissions_policy(allowed: str = "") -> str:
    return ", ".join(f"{device}={'(self)' if device == allowed else '()'}" for device in _DEVICES)
