"""The page of the safety switch: where the AI is off, and the buttons that switch it off and on."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cataract.core.errors import DomainError
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.stops import services
from predictions.stops.forms import ReasonForm, StopForm
from predictions.stops.models import AiStop

VIEW, STOP = "predictions.view_aistop", "predictions.stop_ai"
_LIFTED = 25


@never_cache
@require_http_methods(["GET", "POST"])
@login_required
@permission_required(VIEW, raise_exception=True)
def stops_page(request: HttpRequest) -> HttpResponse:
    """Where the AI is off; POST switches it off."""
    user = user_of(request)
    if request.method == "POST":
        return _stop(request)
    stops = AiStop.objects.visible_to(user).select_related("site", "stopped_by", "lifted_by")
    context = {
        "standing": stops.standing(),
        "page_obj": Paginator(stops.exclude(lifted_at=None), _LIFTED).get_page(request.GET.get("page")),
        "form": StopForm(user=user),
        "may_stop": user.has_perm(STOP),
    }
    return render(request, "predictions/stops.html", context)


@permission_required(STOP, raise_exception=True)
def _stop(request: HttpRequest) -> HttpResponse:
    require_confirmation(request)
    user = user_of(request)
    form = StopForm(request.POST, user=user)
    if not form.is_valid():
        messages.error(request, "Say why, and where: nothing was changed.")
        return redirect("predictions:stops")
    try:
        stop = services.stop_ai(site=form.cleaned_data["site"], reason=form.cleaned_data["reason"], user=user)
        messages.success(request, f"The AI is off at {stop.where}. People alone answer from the next photo on.")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("predictions:stops")


@require_POST
@login_required
@permission_required(STOP, raise_exception=True)
def lift(request: HttpRequest, stop_id: int) -> HttpResponse:
    """Switch the AI on again, with a reason."""
    user = user_of(request)
    stop = get_object_or_404(AiStop.objects.visible_to(user), pk=stop_id)
    require_confirmation(request)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why: nothing was changed.")
        return redirect("predictions:stops")
    try:
        services.lift_stop(stop=stop, reason=form.cleaned_data["reason"], user=user)
        messages.success(request, f"The AI answers again at {stop.where}, from the next photo on.")
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("predictions:stops")
