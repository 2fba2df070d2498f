"""Pages of look-backs: start one, its photos by risk, the photos that were cleared wrongly, and the CSV export."""

from collections.abc import Iterator
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.errors import BadField
from cataract.core.http.htmx import is_htmx
from cataract.core.http.polling import polling
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.answering import services as answering_services
from predictions.answering.models import Prediction
from review.lookback import ranking, services
from review.lookback.forms import FilterForm, SendForm, StartForm
from review.lookback.models import LookBack
from review.outcomes import services as outcomes_services
from review.outcomes.photos import cleared_wrongly

VIEW, ADD = "review.view_lookback", "review.add_lookback"
PAGE_SIZE = 48
_POLLS = 300  # a running page polls this often, then stops and says so


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def look_backs_page(request: HttpRequest) -> HttpResponse:
    """All look-backs, newest first; a new one when the form is sent."""
    form = StartForm(request.POST or None, initial={"until": timezone.localdate()})
    if request.method == "POST":
        _check_may_act(request)
        if form.is_valid():
            try:
                look_back = services.start_look_back(user=user_of(request), **form.cleaned_data)
                return redirect("review:look-back", pk=look_back.pk)
            except BadField as error:
                form.add_error(error.field, error.message)
    page = Paginator(LookBack.objects.select_related("requested_by"), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"form": form, "page_obj": page, "may_act": user_of(request).has_perm(ADD), "tab": "all"}
    return render(request, "review/look_backs.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def look_back_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The photos of a look-back, the greatest risk first; a POST sends those that match, or are ticked, to readers."""
    look_back, user = get_object_or_404(LookBack, pk=pk), user_of(request)
    form = FilterForm(request.GET)
    answers = ranking.ranked(look_back, user, form.filters())
    if request.method == "POST":
        _check_may_act(request)
        send = SendForm(request.POST, rows=answers.filter(case__isnull=True))
        if send.is_valid():
            _say_sent(request, services.send_answers(answers=send.chosen()))
        return redirect(request.get_full_path())
    page = Paginator(answers, PAGE_SIZE).get_page(request.GET.get("page"))
    answering_services.disclose(predictions=[answer.prediction for answer in page.object_list], user=user)
    running = look_back.status == LookBack.Status.WAITING
    context = {
        "look_back": look_back,
        "counts": ranking.counts(look_back),
        "form": form,
        "page_obj": page,
        "unsent": answers.filter(case__isnull=True).count(),
        "may_act": user.has_perm(ADD),
        **polling(request, waits=running, most=_POLLS, quick=10),
    }
    return render(request, f"review/{'_look_back' if is_htmx(request) else 'look_back'}.html", context)


@require_POST
@login_required
@permission_required(ADD, raise_exception=True)
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop a look-back."""
    services.cancel_look_back(look_back=get_object_or_404(LookBack, pk=pk))
    return redirect("review:look-back", pk=pk)


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def answers_csv(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """The filtered photos of a look-back as CSV; records that the caller has been shown the answers in it."""
    require_confirmation(request)
    look_back, user = get_object_or_404(LookBack, pk=pk), user_of(request)
    answers = ranking.ranked(look_back, user, FilterForm(request.GET).filters())

    def lines() -> Iterator[str]:
        return ranking.answers_csv(
            answers, lambda shown: answering_services.disclose(predictions=list(shown), user=user)
        )

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="look-back-{look_back.pk}.csv"'
    return response


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def cleared_wrongly_page(request: HttpRequest) -> HttpResponse:
    """Photos whose sender was told "no cataract" before an eye doctor found one; a POST sends them to readers."""
    user = user_of(request)
    found = cleared_wrongly(Prediction.objects.visible_to(user))
    if request.method == "POST":
        _check_may_act(request)
        rows = Prediction.objects.filter(pk__in=[prediction.pk for prediction, _ in found]).select_related("image")
        send = SendForm(request.POST, rows=rows)
        if send.is_valid():
            _say_sent(request, services.send_predictions(predictions=send.chosen()))
        return redirect("review:cleared-wrongly")
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    answering_services.disclose(predictions=[prediction for prediction, _ in page.object_list], user=user)
    outcomes_services.disclose(outcomes=[outcome for _, outcome in page.object_list], user=user)
    context = {"page_obj": page, "total": len(found), "may_act": user.has_perm(ADD), "tab": "cleared"}
    return render(request, "review/cleared_wrongly.html", context)


def _check_may_act(request: HttpRequest) -> None:
    if not user_of(request).has_perm(ADD):
        raise PermissionDenied


def _say_sent(request: HttpRequest, opened: int) -> None:
    words = f"{opened} case{'s are' if opened != 1 else ' is'} waiting for readers."
    messages.success(request, words if opened else "Nothing sent: these photos are waiting for readers already.")
