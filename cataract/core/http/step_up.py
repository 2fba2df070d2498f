"""Step-up: what changes much is done only by somebody who has shown lately who they are.

Signing in counts, and so does confirming it with the password or the second factor. API keys are not asked: they have
scopes instead.
"""

import time

from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from cataract.core.errors import DomainError
from cataract.core.models import ApiToken

_CONFIRMED = "confirmed_at"


class ConfirmIdentity(DomainError):
    """The session is too old for this action."""

    code = "confirm_identity"
    status = 403

    def __init__(self) -> None:
        super().__init__("Confirm that it is you: open /accounts/reauthenticate/ in a browser, or use an API key.")


def record_confirmation(request: HttpRequest) -> None:
    """The person has just shown who they are."""
    request.session[_CONFIRMED] = time.time()


def require_confirmation(request: HttpRequest) -> None:
    """Interrupt a page until its person has confirmed who they are, within STEP_UP_MINUTES; then it goes on.

    A form that was sent goes on, too, unless it holds a password, which nothing may store: that page is shown again.
    """
    if _is_recent(request):
        return
    if any("password" in name for name in request.POST):
        query = urlencode({"next": request.get_full_path()})
        raise ImmediateHttpResponse(redirect(f"{reverse('account_reauthenticate')}?{query}"))
    raise ReauthenticationRequired


class RecentlyConfirmed(BasePermission):
    """A permission class of API views: what changes something needs a key or a session that was confirmed lately."""

    def has_permission(self, request: Request, view: object) -> bool:
        if request.method in SAFE_METHODS or isinstance(request.auth, ApiToken) or _is_recent(request):
            return True
        raise ConfirmIdentity


def _is_recent(request: HttpRequest | Request) -> bool:
    age = time.time() - request.session.get(_CONFIRMED, 0)
    return bool(0 <= age < settings.STEP_UP_MINUTES * 60)
