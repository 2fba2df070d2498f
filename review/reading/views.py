"""The queue, and one case at one address: blind form, then (where the AI differs) both answers, then the next case."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.http.users import user_of
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import find_case, reviewers_only
from review.queue import access, claims, policy, progress
from review.reading import screens, services, shortcuts, transitions
from review.reading.forms import AdjudicationForm, BlindForm, FinalForm, KeysForm
from review.reading.shortcuts import keys_of


@require_http_methods(["GET", "POST"])
@reviewers_only
def own_keys(request: HttpRequest) -> HttpResponse:
    """Change the keys of the reading page, or switch single ones off."""
    person = user_of(request)
    if request.method == "POST" and "usual" in request.POST:
        shortcuts.save_keys(user=person, keys={})
        messages.success(request, "The usual keys are back.")
        return redirect("review:keys")
    form = KeysForm(request.POST or None, initial=shortcuts.keys_of(person))
    if request.method == "POST" and form.is_valid():
        shortcuts.save_keys(user=person, keys=form.cleaned_data)
        messages.success(request, "Saved. The reading page uses these keys now.")
        return redirect("review:keys")
    return render(request, "review/keys.html", {"form": form}, status=422 if form.is_bound else 200)


@require_POST
@reviewers_only
def next_case(request: HttpRequest) -> HttpResponse:
    """Claim the next case and go there."""
    return screens.go_next(request)


@require_POST
@reviewers_only
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Hold this very case, where it is free and this person's to read."""
    case = find_case(pk)
    try:
        services.claim_case(case=case, reader=user_of(request))
    except transitions.Conflict as conflict:
        return screens.show(request, case, problem=str(conflict), status=409)
    return redirect("review:case", pk=pk)


@require_POST
@reviewers_only
def skip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put the case back unread and go to the next."""
    case = find_case(pk)
    try:
        services.skip_case(case=case, reader=user_of(request), reason=request.POST.get("reason", ""))
    except transitions.Conflict as conflict:
        return screens.show(request, case, problem=str(conflict), status=409)
    messages.info(request, "Skipped. It comes back after the others.")
    return screens.go_next(request)


@require_POST
@reviewers_only
def undo(request: HttpRequest) -> HttpResponse:
    """Take back one's own answer named in the form, and return to its case."""
    try:
        reading = get_object_or_404(Reading, pk=UUID(request.POST.get("reading", "")), reader=user_of(request))
    except ValueError as error:
        raise Http404("No such answer.") from error
    try:
        case = services.undo_reading(reading=reading, reader=user_of(request))
    except transitions.Conflict as conflict:
        messages.error(request, str(conflict))
        return redirect("review:case", pk=reading.case_id)
    messages.info(request, "Taken back. The case is yours again.")
    return redirect("review:case", pk=case.pk)


@require_POST
@reviewers_only
def renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep holding while the page is open: 204, or 409 when the lease has ended."""
    return HttpResponse(status=204 if claims.renew(find_case(pk), user_of(request)) else 409)


@require_POST
@reviewers_only
def ahead(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep the next two cases for this person, with their screens and their photos' addresses; and how far one is.

    Short leases, renewed while the page is open. Of the AI, and of why a case is in the queue, the answer says nothing.
    """
    person, case = user_of(request), find_case(pk)
    kept = [
        {
            "case": str(following.pk),
            "photo": reverse("review:photo", args=[following.pk]),
            "screen": screens.in_advance(request, following, besides=case),
        }
        for following in services.claim_ahead(case=case, reader=person)
    ]
    return JsonResponse({"cases": kept, "progress": progress.in_words(progress.counts(person))})


@require_POST
@reviewers_only
def leave(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page was left: its cases are free for others in a few seconds."""
    claims.leave(find_case(pk), user_of(request))
    return HttpResponse(status=204)


@require_GET
@reviewers_only
def queue_page(request: HttpRequest) -> HttpResponse:
    """How many cases wait for this person, who holds the others, and the button that starts."""
    person = user_of(request)
    counts = progress.counts(person)
    context = {
        "counts": counts,
        "progress": progress.in_words(counts),
        "last": screens.last_reading(request),
        "keys": keys_of(person),
    }
    return render(request, "review/queue.html", context)


@require_http_methods(["GET", "POST"])
@reviewers_only
def case_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the case, or store what was answered on the screen named by `step`."""
    case = find_case(pk)
    if request.method == "GET":
        return screens.show(request, case)
    step, form_class = STEPS.get(request.POST.get("step", ""), (None, BlindForm))
    if step is None:
        raise Http404("No such step.")
    form = form_class(request.POST)
    if not form.is_valid():
        return screens.show(request, case, form=form, status=422)
    try:
        return step(request, case, form.cleaned_data)
    except transitions.Conflict as conflict:
        return screens.show(request, case, form=form, problem=str(conflict), status=409)


def _answer_blind(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.store_blind_answer(case=case, reader=user_of(request), **data)
    if not reading.final_answer:
        return screens.go_to(request, case, reading)
    said = reading.get_final_answer_display()
    if reading.role == Reading.Role.EXTRA:
        messages.info(request, f"Another reader was faster; your answer ({said.lower()}) is kept as a second opinion.")
        return screens.go_next(request, reading)
    opinion = policy.opinion(case)
    agreed = " The AI says the same." if opinion and not policy.contradicts(reading.final_answer, opinion) else ""
    messages.success(request, f"Saved: {said.lower()}.{agreed}")
    return screens.go_next(request, reading)


def _answer_final(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = access.own_reading(case, user_of(request))
    if reading is None:
        raise transitions.Conflict(transitions.why_closed(case, user_of(request)))
    services.store_final_answer(reading=reading, answer=data["answer"], seconds=data["seconds"])
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return screens.go_next(request, reading)


def _answer_adjudication(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.adjudicate(
        case=case,
        adjudicator=user_of(request),
        answer=data["answer"],
        reason=data["reason"],
        viewer=data["viewer"],
    )
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return screens.go_next(request, reading)


STEPS: dict[str, tuple[Callable[[HttpRequest, ReviewCase, dict[str, Any]], HttpResponse], type[Form]]] = {
    "blind": (_answer_blind, BlindForm),
    "final": (_answer_final, FinalForm),
    "adjudicate": (_answer_adjudication, AdjudicationForm),
}
