"""Who is behind a request, for the audit log."""

from collections.abc import Callable, Iterable, Iterator

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from cataract.core.audit.services import Actor, current
from cataract.core.http.addresses import client_address
from cataract.core.models import ApiToken
from cataract.core.tokens import session_mark


def name_the_actor(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: what is recorded while a request is answered names its user, session or key, and address.

    The user is asked for when something is recorded: the API finds it later than this. What a streamed answer records
    while it is sent names its actor too.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        def actor() -> Actor:
            return _actor(request)

        before = current.set(actor)
        try:
            response = get_response(request)
        finally:
            current.reset(before)
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            response.streaming_content = _recorded(response.streaming_content, actor)
        return response

    return middleware


def _recorded(chunks: Iterable[bytes], actor: Callable[[], Actor]) -> Iterator[bytes]:
    rest = iter(chunks)
    while True:
        before = current.set(actor)
        try:
            chunk = next(rest)
        except StopIteration:
            return
        finally:
            current.reset(before)
        yield chunk


def _actor(request: HttpRequest) -> Actor:
    user, token = getattr(request, "user", None), getattr(request, "auth", None)
    key = token.pk if isinstance(token, ApiToken) else None
    session = getattr(getattr(request, "session", None), "session_key", None) if key is None else None
    return Actor(
        user=user if isinstance(user, User) else None,
        session=session_mark(session) if session else "",
        key=key,
        address=client_address(request) or "",
    )
