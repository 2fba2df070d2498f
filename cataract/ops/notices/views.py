"""The page of notices: what is wrong, what to do, and which of it this admin has seen."""

from datetime import timedelta
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cataract.core.http.users import user_of
from cataract.ops.notices import services
from cataract.ops.notices.advice import advised
from cataract.ops.notices.models import Notice

VIEW = "cataract.view_notice"
_HISTORY = timedelta(days=30)


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def notices_page(request: HttpRequest) -> HttpResponse:
    """The open notices, newest first, and those of the last month that are resolved."""
    unseen = set(Notice.objects.unseen_by(user_of(request)).values_list("pk", flat=True))
    found = Notice.objects.open().select_related("owner").prefetch_related("seen_by")
    rows = [(advised(notice), notice.pk in unseen) for notice in found]
    resolved = (
        Notice.objects.select_related("owner")
        .filter(resolved_at__gte=timezone.now() - _HISTORY)
        .order_by("-resolved_at")
    )
    context = {"rows": rows, "resolved": resolved, "any_unseen": bool(unseen)}
    return render(request, "ops/notices.html", context)


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def mark_seen(request: HttpRequest, pk: UUID) -> HttpResponse:
    """This admin has seen the notice: it no longer counts in the navigation."""
    get_object_or_404(Notice, pk=pk).seen_by.add(user_of(request))
    return redirect("ops:notices")


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def mark_all_seen(request: HttpRequest) -> HttpResponse:
    """This admin has seen every open notice."""
    user = user_of(request)
    for notice in Notice.objects.unseen_by(user):
        notice.seen_by.add(user)
    return redirect("ops:notices")


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def own(request: HttpRequest, pk: UUID) -> HttpResponse:
    """This admin takes care of the notice, or (`leave`) does not any more."""
    user, notice = user_of(request), get_object_or_404(Notice, pk=pk)
    if "leave" in request.POST:
        services.leave_notice(notice=notice, user=user)
    else:
        services.take_notice(notice=notice, user=user)
    return redirect("ops:notices")
