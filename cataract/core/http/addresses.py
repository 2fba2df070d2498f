"""The address from which a request comes."""

from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle


def client_address(request: HttpRequest) -> str | None:
    """The address of the caller, by the rule of the API's rate limits: behind our proxy, what the proxy saw.

    An entry of X-Forwarded-For that the caller wrote is never believed. None where a request has no address.
    """
    return BaseThrottle().get_ident(request) or None  # type: ignore[arg-type]  # it only reads META
