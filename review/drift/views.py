"""The pages of drift: what is watched, and one segment with its plots, photos then and now, and what to do."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from cataract.ml.statistics.monitoring import EVERY, RECENT
from predictions.drift import services
from predictions.drift.models import DriftCheck, DriftSegment
from predictions.releases.models import Release
from review.agreement.sections import figure_of
from review.drift import selectors

VIEW, CHANGE = "predictions.view_driftsegment", "predictions.change_driftsegment"


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def drift_page(request: HttpRequest) -> HttpResponse:
    """Everything that is watched, with its state, since when, and in what it has drifted."""
    context = {
        "rows": selectors.rows_for(user_of(request)),
        "champion": Release.objects.champions().first(),
        "budget": settings.DRIFT_FALSE_ALARMS,
        "every": EVERY,
        "recent": RECENT,
    }
    return render(request, "review/drift.html", context)


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def segment_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One segment. No page says what the AI answered on a single photo."""
    user = user_of(request)
    segment = get_object_or_404(DriftSegment.objects.visible_to(user).named(), pk=pk)
    check = DriftCheck.objects.looks().newest_of([segment]).get(segment.pk)
    measures = selectors.estimated(check) + selectors.realised(segment)
    context = {
        "row": selectors.row_of(segment, check),
        "plots": selectors.plots_of(segment),
        "figure": figure_of("Performance", "", measures),
        "examples": selectors.examples(segment, user),
        "restarts": segment.checks.filter(state=DriftCheck.State.RESTARTED).select_related("by")[:5],
        "may_change": user.has_perm(CHANGE),
    }
    return render(request, "review/drift_segment.html", context)


@require_POST
@login_required
@permission_required(CHANGE, raise_exception=True)
def restart_segment(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Compare with the newest photos from now on, with a reason."""
    user = user_of(request)
    segment = get_object_or_404(DriftSegment.objects.visible_to(user), pk=pk)
    try:
        services.restart_segment(segment=segment, user=user, reason=request.POST.get("reason", "")[:500])
        messages.success(request, "Done. New photos are compared with the newest ones from now on.")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("review:drift-segment", segment.pk)
