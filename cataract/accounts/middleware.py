"""End sessions in time, and lead people whose account is unfinished to what they must do first."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from cataract.accounts import events, kept, second_factor, sessions
from cataract.core.errors import RequestRefused
from cataract.core.http.handlers import answer
from cataract.core.http.users import user_of

_WORDS = {
    sessions.Ended.IDLE: "You were signed out after {idle} minutes without activity. Log in to go on where you were.",
    sessions.Ended.TOO_OLD: "Your session was too old, so you were signed out. Log in to go on where you were.",
}


class SessionLimits:
    """Middleware: end a session that was idle for too long or is too old, and keep the form that was being sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if SESSION_KEY not in request.session:
            return self.get_response(request)
        why = sessions.ended(request.session)
        if why is None:
            sessions.record_activity(request)
            return self.get_response(request)
        user = user_of(request)
        if user.is_authenticated:
            events.record("session_ended", user=user, why=why.value)
        logout(request)
        if not _is_page(request):
            return self.get_response(request)
        messages.info(request, _WORDS[why].format(idle=settings.SESSION_IDLE_MINUTES))
        if request.method in ("GET", "HEAD"):
            return self.get_response(request)
        if user.is_authenticated and kept.keep(request, user=user):
            return redirect_to_login(reverse("account_kept_form"))
        return redirect_to_login(_page_before(request))


def _is_page(request: HttpRequest) -> bool:
    """Whether a person waits for a page: not the API, and not a part that a script asks for."""
    return not request.path.startswith("/api/") and request.headers.get("HX-Request") != "true"


def _page_before(request: HttpRequest) -> str:
    """The page of ours on which the form was, or the start page."""
    before = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(before, {request.get_host()}):
        parts = urlsplit(before)
        return parts.path + (f"?{parts.query}" if parts.query else "")
    return reverse("home")


class UnfinishedAccounts:
    """Middleware: who must change a password or needs a second factor first gets no page, nor the API by session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if SESSION_KEY not in request.session or request.path.startswith("/accounts/") or _has_key(request):
            return self.get_response(request)
        if sessions.must_change_password(request.session):
            return _lead(request, "account_change_password", "password_change_required", "Change your password first.")
        if settings.SECOND_FACTOR_ROLES and not sessions.is_complete(request.session):
            user = user_of(request)
            if user.is_authenticated and second_factor.needs_one(user):
                if not second_factor.has_one(user):
                    return _lead(request, "mfa_index", "second_factor_required", "Set up a second factor first.")
                sessions.set_complete(request.session)
        return self.get_response(request)


def _has_key(request: HttpRequest) -> bool:
    """Whether an API request is that of a key: then the session beside it does not count."""
    return request.path.startswith("/api/") and request.headers.get("Authorization", "").lower().startswith("bearer ")


def _lead(request: HttpRequest, page: str, code: str, text: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return answer(request, RequestRefused(code, 403, f"{text} Open {reverse(page)} in a browser."))
    return redirect(page)
