"""Pages of one's own account: what there is, sessions, and a form that was kept."""

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from cataract.accounts import forms, kept, second_factor, services, single_sign_on
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


@require_GET
@login_required
def confirm_by_sign_on(request: HttpRequest) -> HttpResponse:
    """People of the single sign-on confirm who they are at their provider, which says when they did."""
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()})
    query = {"next": wanted if is_ours else reverse("home"), "auth_params": "prompt=login&max_age=0"}
    return render(request, "account/reauthenticate_sign_on.html", {"query": urlencode(query)})


@require_safe
def may_open_mlflow(request: HttpRequest) -> HttpResponse:
    """Whether a proxy may pass the request of this session on to MLflow: 204 for people who train, else 401 or 403."""
    user = user_of(request)
    if not user.is_authenticated:
        return HttpResponse(status=401)
    return HttpResponse(status=204 if user.has_perm("training.add_trainingrun") else 403)


@csrf_exempt  # the provider sends no cookie: its signature on the token counts
@require_POST
def logout_by_provider(request: HttpRequest) -> HttpResponse:
    """The provider ends the sessions of one person (OpenID Connect Back-Channel Logout 1.0)."""
    token = request.POST.get("logout_token", "")
    if not single_sign_on.is_on():
        raise Http404
    if not token or not single_sign_on.end_by_provider(request=request, logout_token=token):
        return HttpResponse("This is no logout token of the provider.", status=400, content_type="text/plain")
    return HttpResponse()


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
