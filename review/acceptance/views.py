"""The page of acceptance: how far each side is at each site, and the buttons by which an admin decides."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cataract.core.broker.nudge import nudge
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.acceptance import rules, services
from predictions.releases.models import Release
from review.acceptance import selectors, tasks
from review.acceptance.forms import ACCEPT, COUNT, DecideForm

VIEW, DECIDE = "predictions.view_acceptance", "predictions.decide_acceptance"
_CHANGES = 25


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def acceptance_page(request: HttpRequest) -> HttpResponse:
    """How far each side is, at every site that the user may see, and what was accepted and withdrawn there."""
    user = user_of(request)
    sites = selectors.sites_of(user)
    context = {
        "sides": selectors.sides_at(sites),
        "page_obj": Paginator(selectors.changes_at(sites), _CHANGES).get_page(request.GET.get("page")),
        "needs_acceptance": rules.needs_acceptance(),
        "confidence": settings.AUTO_CONFIDENCE,
        "champion": Release.objects.champions().first(),
        "may_decide": user.has_perm(DECIDE),
    }
    return render(request, "review/acceptance.html", context)


@require_POST
@login_required
@permission_required(DECIDE, raise_exception=True)
def decide(request: HttpRequest) -> HttpResponse:
    """Accept, withdraw or restart the count of one side, with a reason."""
    form = DecideForm(request.POST)
    if not form.is_valid():
        gone = "progress" in form.errors
        messages.error(request, "Changed meanwhile: look again." if gone else "Say why: nothing was changed.")
        return redirect("review:acceptance")
    row, act, reason = form.cleaned_data["progress"], form.cleaned_data["act"], form.cleaned_data["reason"]
    side = {"scope": row.scope, "side": row.side, "release": row.release}
    try:
        if act == COUNT:
            services.restart_count(**side, reason=reason, user=user_of(request))
        else:
            services.decide_by_hand(
                **side, accepted=act == ACCEPT, numbers=row.numbers, reason=reason, user=user_of(request)
            )
        messages.success(request, "Done. It holds from the next photo on.")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("review:acceptance")


@require_POST
@login_required
@permission_required(DECIDE, raise_exception=True)
def count_now(request: HttpRequest) -> HttpResponse:
    """Ask a worker to count now instead of within minutes."""
    champion = Release.objects.champions().first()
    if champion is not None:
        nudge(tasks.judge_release, champion.pk)
    messages.info(request, "A worker counts. Reload this page in a few seconds.")
    return redirect("review:acceptance")
