"""Limits on request bodies, and headers that keep pages out of browser caches."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from cataract.core.errors import DomainError, RequestRefused
from cataract.core.http.handlers import answer


class BoundedBody:
    """Middleware: refuses by the header alone what is too long, of unknown length or compressed.

    No byte of such a body is read: a claimed length of 10 GB costs nothing. How much of an accepted body is kept is
    the business of the upload handlers.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        refusal = _refuse_body(request)
        return self.get_response(request) if refusal is None else answer(request, refusal)


def _refuse_body(request: HttpRequest) -> DomainError | None:
    headers = request.headers
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        text = "The body of the request is compressed. Send it as it is, without Content-Encoding."
        return RequestRefused("content_encoding", 415, text)
    length = headers.get("Content-Length", "").strip()
    if not length and headers.get("Transfer-Encoding"):
        return RequestRefused("length_required", 411, "Say how long the request is: send it with a Content-Length.")
    limit = _limit(request.path)
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        text = f"The request is larger than {limit / 1e6:.0f} MB. Send a smaller photo."
        return RequestRefused("request_too_large", 413, text)
    return None


def _limit(path: str) -> int:
    """Bytes of a body: room for whole batches, elsewhere for a photo so large that the form can still say so."""
    return settings.MAX_BATCH_BYTES + 1_000_000 if "/batches" in path else settings.MAX_BODY_BYTES


def leave_nothing_behind(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """No answer is stored by the browser unless its view says otherwise; logging out clears what it stored.

    The back button shows the login page to the next user of a shared computer (OWASP ASVS 5.0, 14.3.1 and 14.3.2).
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        if request.resolver_match is not None and request.resolver_match.url_name == "logout":
            response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response

    return middleware
