"""How long a session lives, and what is known of it: all of it stands in the session itself."""

import time
from enum import StrEnum

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils import timezone

_SIGNED_IN, _ACTIVE, _MUST_CHANGE, _COMPLETE = "signed_in_at", "active_at", "must_change_password", "is_complete"
_RECORDED_EVERY = 60  # seconds


class Ended(StrEnum):
    """Why a session ended."""

    IDLE = "idle"
    TOO_OLD = "too_old"


def start(session: SessionBase, *, now: float, must_change_password: bool) -> None:
    session[_SIGNED_IN] = session[_ACTIVE] = now
    session[_MUST_CHANGE] = must_change_password


def ended(session: SessionBase) -> Ended | None:
    """Why the session of somebody signed in is over, if it is. A session without a date is over."""
    now = time.time()
    if now - session.get(_SIGNED_IN, 0) > settings.SESSION_HOURS * 3600:
        return Ended.TOO_OLD
    if now - session.get(_ACTIVE, 0) > settings.SESSION_IDLE_MINUTES * 60:
        return Ended.IDLE
    return None


def record_activity(request: HttpRequest) -> None:
    """Note that the person did something, at most once a minute."""
    now = time.time()
    if _by_a_person(request) and now - request.session.get(_ACTIVE, 0) >= _RECORDED_EVERY:
        request.session[_ACTIVE] = now
        UserSession.objects.filter(session_key=request.session.session_key).update(last_seen_at=timezone.now())


def _by_a_person(request: HttpRequest) -> bool:
    """Whether a person asked, not a page by itself: pages poll with htmx, and renew a claim with `fetch`."""
    if request.headers.get("HX-Request") == "true":
        return request.method not in ("GET", "HEAD")
    return request.headers.get("Sec-Fetch-Dest", "document") == "document"


def must_change_password(session: SessionBase) -> bool:
    return bool(session.get(_MUST_CHANGE))


def password_was_changed(session: SessionBase) -> None:
    session[_MUST_CHANGE] = False


def is_complete(session: SessionBase) -> bool:
    """Whether it is known that this session's account has the second factor that it needs."""
    return bool(session.get(_COMPLETE))


def set_complete(session: SessionBase) -> None:
    session[_COMPLETE] = True
