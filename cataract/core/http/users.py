"""The person behind a request, and by what they made it."""

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.request import Request

from cataract.core.models import ApiToken
from cataract.core.tokens import Credential, session_mark


def user_of(request: HttpRequest | Request) -> User:
    """The signed-in user; only for views that require a login."""
    return cast(User, request.user)


def credential_of(request: HttpRequest | Request) -> Credential:
    """The API key or the session by which the request is made."""
    auth = getattr(request, "auth", None)
    if isinstance(auth, ApiToken):
        return Credential(key=auth)
    session_key = request.session.session_key
    return Credential(session=session_mark(session_key) if session_key else None)
