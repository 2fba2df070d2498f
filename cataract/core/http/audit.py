"""Who is behind a request, for the audit log."""

from collections.abc import Callable

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from cataract.core.audit.services import Actor, current
from cataract.core.http.addresses import client_address
from cataract.core.models import ApiToken


def name_the_actor(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: what is recorded while a request is answered names its user, session or key, and address.

    The user is asked for when something is recorded: the API finds it later than this. A streamed answer is recorded
    while it is sent, so its actor stands until the next request of this thread.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        before = current.set(lambda: _actor(request))
        response = get_response(request)
        if not response.streaming:
            current.reset(before)
        return response

    return middleware


def _actor(request: HttpRequest) -> Actor:
    user, token = getattr(request, "user", None), getattr(request, "auth", None)
    session = getattr(request, "session", None)
    is_token = isinstance(token, ApiToken)
    return Actor(
        user=user if isinstance(user, User) else None,
        session_key="" if is_token or session is None else session.session_key or "",
        key=token.pk if is_token else None,
        address=client_address(request) or "",
    )
