"""The queue, and one case at one address: blind form, then (where the AI differs) both answers, then the next case."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from review import machine, progress, queue, screens, services
from review.forms import AdjudicationForm, BlindForm, FinalForm
from review.guards import find_case, person_of, reviewers_only
from review.keys import keys_of
from review.models import Reading, ReviewCase


@require_GET
@reviewers_only
def queue_page(request: HttpRequest) -> HttpResponse:
    """How many cases wait for this person, who holds the others, and the button that starts."""
    person = person_of(request)
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
    except machine.Conflict as conflict:
        return screens.show(request, case, form=form, problem=str(conflict), status=409)


def _answer_blind(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.store_blind_answer(case=case, reader=person_of(request), **data)
    if not reading.final_answer:
        return screens.go_to(request, case, reading)
    said = reading.get_final_answer_display()
    if reading.role == Reading.Role.EXTRA:
        messages.info(request, f"Another reader was faster; your answer ({said.lower()}) is kept as a second opinion.")
        return screens.go_next(request, reading)
    opinion = queue.opinion(case)
    agreed = " The AI says the same." if opinion and not queue.contradicts(reading.final_answer, opinion) else ""
    messages.success(request, f"Saved: {said.lower()}.{agreed}")
    return screens.go_next(request, reading)


def _answer_final(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = queue.own_reading(case, person_of(request))
    if reading is None:
        raise machine.Conflict(machine.why_closed(case, person_of(request)))
    services.store_final_answer(reading=reading, answer=data["answer"], seconds=data["seconds"])
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return screens.go_next(request, reading)


def _answer_adjudication(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.adjudicate(
        case=case,
        adjudicator=person_of(request),
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
