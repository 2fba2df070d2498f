"""Pages of one's own account: what there is, sessions, and a form that was kept."""

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.accounts import forms, kept, second_factor, services
from cataract.core import tokens
from cataract.core.http import step_up
from cataract.core.http.users import user_of
from cataract.core.models import ApiToken


@require_GET
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """What belongs to the account: password, sessions, keys."""
    user = user_of(request)
    context = {
        "sessions": UserSession.objects.filter(user=user).count(),
        "roles": user.groups.order_by("name"),
        "has_second_factor": second_factor.has_one(user),
        "keys_end_soon": tokens.ending_soon().filter(user=user).count(),
    }
    return render(request, "account/account.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """Where the user is signed in: device, address, since when; sign out everywhere else."""
    user, current = user_of(request), request.session.session_key
    if request.method == "POST":
        ended = services.end_sessions(user=user, except_key=current or "")
        messages.success(request, f"Signed out in {ended} other place{'' if ended == 1 else 's'}.")
        return redirect("account_sessions")
    rows = sorted(UserSession.objects.purge_and_list(user), key=lambda row: row.last_seen_at, reverse=True)
    return render(request, "account/sessions.html", {"rows": rows, "current": current})


@require_POST
@login_required
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign out in one other place."""
    row = get_object_or_404(UserSession, pk=pk, user=user_of(request))
    services.end_session(session=row)
    messages.success(request, "Signed out there.")
    return redirect("account_sessions")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def keys(request: HttpRequest) -> HttpResponse:
    """The API keys of the user; whoever reads cases makes one for a program of their own."""
    user = user_of(request)
    may_make = user.has_perm("review.read_reviewcase") or user.has_perm("review.adjudicate_reviewcase")
    form = forms.OwnKeyForm(request.POST or None) if may_make else None
    made = None
    if request.method == "POST":
        if form is None:
            raise PermissionDenied
        step_up.require_confirmation(request)
        if form.is_valid():
            scopes: list[str] = [ApiToken.Scope.REVIEW]
            made = services.make_key(user=user, scopes=scopes, by=user, **form.cleaned_data)[1]
            form = forms.OwnKeyForm()
    rows = ApiToken.objects.filter(user=user).order_by("revoked_at", "expires_at")
    soon = timezone.now() + tokens.WARN_BEFORE
    context = {"rows": rows, "form": form, "made": made, "now": timezone.now(), "soon": soon}
    return render(request, "account/keys.html", context, status=422 if form is not None and form.errors else 200)


@require_POST
@login_required
def revoke_key(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of one's own keys."""
    key = get_object_or_404(ApiToken, pk=pk, user=user_of(request))
    services.revoke_key(key=key, by=user_of(request))
    messages.success(request, f"The key {key.name} is revoked.")
    return redirect("account_keys")


@require_POST
@login_required
def stay(request: HttpRequest) -> HttpResponse:
    """The person is still there: the request itself has renewed the session."""
    return HttpResponse(status=204)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def kept_form(request: HttpRequest) -> HttpResponse:
    """Show the form that was sent after the session had ended; its sender sends it again, or drops it by POST."""
    found = kept.kept_form(request)
    if request.method == "POST" or found is None:
        kept.forget(request)
        return redirect("home")
    address, fields = found
    shown = [(name.replace("_", " ").capitalize(), value) for name, value in fields if value]
    return render(request, "account/kept_form.html", {"address": address, "fields": fields, "shown": shown})
