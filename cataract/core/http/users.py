"""The person behind a request."""

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.request import Request


def user_of(request: HttpRequest | Request) -> User:
    """The signed-in user; only for views that require a login."""
    return cast(User, request.user)
