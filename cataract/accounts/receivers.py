"""What happens when somebody signs in or out: the session is dated, listed and recorded."""

import time
from typing import Any

from allauth.account import signals as allauth
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth import signals
from django.contrib.auth.models import User
from django.dispatch import receiver
from django.http import HttpRequest

from cataract.accounts import events, services, sessions, single_sign_on
from cataract.core.http import step_up
from cataract.core.http.addresses import client_address
from cataract.core.tokens import session_mark


@receiver(signals.user_logged_in)
def start_session(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Date the session and list it under its user; note whether the password must be changed first."""
    sessions.start(request.session, now=time.time(), must_change_password=services.must_change_password(user))
    signed_on = getattr(request, "signed_on", None)
    if signed_on is None or single_sign_on.is_recent(signed_on):
        step_up.record_confirmation(request)
    if signed_on is not None and single_sign_on.has_second_factor(signed_on):
        sessions.set_complete(request.session)
    if client_address(request):
        UserSession.objects.create_from_request(request, user=user)
    mark = session_mark(request.session.session_key) if request.session.session_key else None
    events.record("signed_in", user=user, address=client_address(request), session=mark)


@receiver(signals.user_logged_out)
def end_session(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    UserSession.objects.filter(session_key=request.session.session_key).delete()
    if user is not None:
        events.record("signed_out", user=user)


@receiver(signals.user_login_failed)
def failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Record a failed attempt on an account. A name that is no account's may be a password, and is not recorded."""
    user = User.objects.filter(username=credentials.get("username") or "").first()
    events.record("sign_in_failed", user=user, address=client_address(request) if request else None)


@receiver(allauth.authentication_step_completed)
def confirm(sender: Any, request: HttpRequest, user: User, method: str, **details: Any) -> None:
    """A signed-in person has confirmed who they are."""
    if details.get("reauthenticated"):
        step_up.record_confirmation(request)
        events.record("confirmed_identity", user=user, method=method)


@receiver(mfa.authenticator_added)
def factor_added(sender: Any, user: User, authenticator: Authenticator, **_: Any) -> None:
    events.record("second_factor_added", user=user, kind=authenticator.type)


@receiver(mfa.authenticator_removed)
def factor_removed(sender: Any, user: User, authenticator: Authenticator, **_: Any) -> None:
    events.record("second_factor_removed", user=user, kind=authenticator.type)


@receiver(allauth.password_changed)
def go_on(sender: Any, request: HttpRequest, **_: Any) -> None:
    sessions.password_was_changed(request.session)
