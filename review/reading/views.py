"""The queue page, one case at one address with its actions, and a user's keys."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.http.users import credential_of, user_of
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import find_case, reviewers_only
from review.pauses.rules import why_not
from review.queue import claims, policy, progress
from review.reading import access, keyboard, screens, services, transitions
from review.reading.forms import AdjudicationForm, BlindForm, FinalForm, KeysForm


# The queue ------------------------------------------------------------------------------------------------------------
@require_GET
@reviewers_only
def queue_page(request: HttpRequest) -> HttpResponse:
    """How many cases are waiting for this user, how many others have claimed, and the button that starts."""
    user = user_of(request)
    counts = progress.counts(user)
    context = {
        "counts": counts,
        "progress": progress.in_words(counts),
        "last": screens.last_reading(user),
        "keys": keyboard.keys_of(user),
        "stop": why_not(user),
    }
    return render(request, "review/queue.html", context)


@require_POST
@reviewers_only
def next_case(request: HttpRequest) -> HttpResponse:
    """Claim the next case and go there."""
    return screens.go_to_next(request)


# One case -------------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@reviewers_only
def case_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the case, or store the answer to the step named by `step`."""
    case = find_case(pk)
    if request.method == "GET":
        return screens.render_case(request, case)
    step = request.POST.get("step", "")
    if step not in STEPS:
        raise Http404("No such step.")
    store, form_class = STEPS[step]
    form = form_class(request.POST)
    if not form.is_valid():
        return screens.render_case(request, case, form=form, status=422)
    try:
        return store(request, case, form.cleaned_data)
    except transitions.Conflict as conflict:
        return screens.render_case(request, case, form=form, problem=str(conflict), status=409)


def _store_blind(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.store_blind_answer(case=case, reader=user_of(request), made_by=credential_of(request), **data)
    if not reading.final_answer:
        return screens.go_to(request, case, reading)
    answer = reading.get_final_answer_display().lower()
    if reading.role == Reading.Role.EXTRA:
        messages.info(request, f"Another reader answered first. Your answer ({answer}) is kept as a second opinion.")
        return screens.go_to_next(request, reading)
    agrees = bool(policy.ai_decision(case)) and not policy.contradicts_ai(case, reading.final_answer)
    messages.success(request, f"Saved: {answer}.{' The AI says the same.' if agrees else ''}")
    return screens.go_to_next(request, reading)


def _store_final(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = access.own_reading(case, user_of(request))
    if reading is None:
        raise transitions.Conflict(transitions.closed_message(case, user_of(request)))
    services.store_final_answer(reading=reading, answer=data["answer"], seconds=data["seconds"])
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return screens.go_to_next(request, reading)


def _store_adjudication(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.adjudicate(
        case=case,
        adjudicator=user_of(request),
        answer=data["answer"],
        reason=data["reason"],
        viewer=data["viewer"],
        made_by=credential_of(request),
    )
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return screens.go_to_next(request, reading)


STEPS: dict[str, tuple[Callable[[HttpRequest, ReviewCase, dict[str, Any]], HttpResponse], type[Form]]] = {
    access.Step.BLIND: (_store_blind, BlindForm),
    access.Step.FINAL: (_store_final, FinalForm),
    access.Step.ADJUDICATE: (_store_adjudication, AdjudicationForm),
}


@require_POST
@reviewers_only
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Claim this case, if it is unclaimed and this user may read it."""
    case = find_case(pk)
    try:
        services.claim_case(case=case, reader=user_of(request))
    except transitions.Conflict as conflict:
        return screens.render_case(request, case, problem=str(conflict), status=409)
    return redirect("review:case", pk=pk)


@require_POST
@reviewers_only
def skip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the case back unread and go to the next."""
    case = find_case(pk)
    try:
        services.skip_case(case=case, reader=user_of(request), reason=request.POST.get("reason", ""))
    except transitions.Conflict as conflict:
        return screens.render_case(request, case, problem=str(conflict), status=409)
    messages.info(request, "Skipped. It comes back after your other cases.")
    return screens.go_to_next(request)


@require_POST
@reviewers_only
def undo(request: HttpRequest) -> HttpResponse:
    """Undo one's own answer named in the form, and return to its case."""
    user = user_of(request)
    try:
        reading = get_object_or_404(Reading, pk=UUID(request.POST.get("reading", "")), reader=user)
    except ValueError as error:
        raise Http404("No such answer.") from error
    try:
        services.undo_reading(reading=reading, reader=user)
        messages.info(request, "Answer undone. The case is yours again.")
    except transitions.Conflict as conflict:
        messages.error(request, str(conflict))
    return redirect("review:case", pk=reading.case_id)


# The open page --------------------------------------------------------------------------------------------------------
@require_POST
@reviewers_only
def renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Renew the claim while the page is open: 204, or 409 when the lease has ended."""
    return HttpResponse(status=204 if claims.renew(find_case(pk), user_of(request)) else 409)


@require_POST
@reviewers_only
def ahead(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Claim the next two cases for this user; returns their screens, the addresses of their photos, and the progress.

    The response says nothing about the AI or about why a case is in the queue.
    """
    user, case = user_of(request), find_case(pk)
    cases = [
        {
            "case": str(following.pk),
            "photo": reverse("review:photo", args=[following.pk]),
            "screen": screens.render_ahead(request, following, current=case),
        }
        for following in services.claim_ahead(case=case, reader=user)
    ]
    return JsonResponse({"cases": cases, "progress": progress.in_words(progress.today_of(user))})


@require_POST
@reviewers_only
def leave(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page was closed or reloaded: unless it renews them, its claims end in a few seconds."""
    claims.leave(find_case(pk), user_of(request))
    return HttpResponse(status=204)


# Keys -----------------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@reviewers_only
def own_keys(request: HttpRequest) -> HttpResponse:
    """Change the keys of the reading page, or switch single ones off."""
    user = user_of(request)
    if request.method == "POST" and "reset" in request.POST:
        keyboard.save_keys(user=user, keys={})
        messages.success(request, "The default keys are back.")
        return redirect("review:keys")
    form = KeysForm(request.POST or None, initial=keyboard.keys_of(user))
    if request.method == "POST" and form.is_valid():
        keyboard.save_keys(user=user, keys=form.cleaned_data)
        messages.success(request, "Saved. The reading page uses these keys now.")
        return redirect("review:keys")
    return render(request, "review/keys.html", {"form": form}, status=422 if form.is_bound else 200)
