"""The review pages. Until a reader's blind answer is stored, nothing here renders, names or links the AI's answer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from review import progress, queue, services
from review.forms import AdjudicationForm, BlindForm, FinalForm
from review.guards import find_case, person_of, reviewers_only
from review.keys import keys_of
from review.models import Reading, ReviewCase

UNDO_WITHIN = timedelta(hours=1)
REASONS = {
    "uncertain": "the AI was not sure",
    "disagreement": "its two models disagreed",
    "out_of_distribution": "the photo is unlike those it knows",
    "quality": "the quality of the photo",
    "ungradable": "the AI could not judge it",
    "audit_sample": "a random check of sure answers",
    "no_champion": "no model was in service",
    "failed": "the analysis failed",
    "requested": "somebody asked for a reading",
    "suspected_label": "its label was in doubt",
}


# The queue ------------------------------------------------------------------------------------------------------------
@require_GET
@reviewers_only
def queue_page(request: HttpRequest) -> HttpResponse:
    """How many cases wait for this person, who holds the others, and the button that starts."""
    person = person_of(request)
    context = {"counts": progress.counts(person), "last": _last(request), "keys": keys_of(person)}
    return render(request, "review/queue.html", context)


@require_POST
@reviewers_only
def next_case(request: HttpRequest) -> HttpResponse:
    """Claim the next case and go there."""
    return _go_next(request)


def _go_next(request: HttpRequest, answered: Reading | None = None) -> HttpResponse:
    case = services.claim_next(reader=person_of(request))
    if case is not None:
        return _go_to(request, case, answered)
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(reverse("review:queue"))
    return redirect("review:queue")


def _go_to(request: HttpRequest, case: ReviewCase, answered: Reading | None = None) -> HttpResponse:
    """The case's address; for htmx the case itself at once, which saves a second request."""
    if request.htmx:  # type: ignore[attr-defined]
        return _show(request, case, just_claimed=True, answered=answered)
    return redirect("review:case", pk=case.pk)


# One case -------------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@reviewers_only
def case_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One address for a case: blind form, then (where the AI differs) both answers, then the next case."""
    case = find_case(pk)
    if request.method == "GET":
        return _show(request, case)
    step, form_class = STEPS.get(request.POST.get("step", ""), (None, BlindForm))
    if step is None:
        raise Http404("No such step.")
    form = form_class(request.POST)
    if not form.is_valid():
        return _show(request, case, form=form, status=422)
    try:
        return step(request, case, form.cleaned_data)
    except services.Conflict as conflict:
        return _show(request, case, form=form, problem=str(conflict), status=409)


def _answer_blind(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.store_blind_answer(case=case, reader=person_of(request), **data)
    if not reading.final_answer:
        return _go_to(request, case, reading)
    said = reading.get_final_answer_display()
    if reading.role == Reading.Role.EXTRA:
        messages.info(request, f"Another reader was faster; your answer ({said.lower()}) is kept as a second opinion.")
        return _go_next(request, reading)
    opinion = queue.opinion(case)
    agreed = " The AI says the same." if opinion and not queue.contradicts(reading.final_answer, opinion) else ""
    messages.success(request, f"Saved: {said.lower()}.{agreed}")
    return _go_next(request, reading)


def _answer_final(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = queue.own_reading(case, person_of(request))
    if reading is None:
        raise services.Conflict(services.why_closed(case, person_of(request)))
    services.store_final_answer(reading=reading, answer=data["answer"], seconds=data["seconds"])
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return _go_next(request, reading)


def _answer_adjudication(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.adjudicate(
        case=case,
        adjudicator=person_of(request),
        answer=data["answer"],
        reason=data["reason"],
        viewer=data["viewer"],
    )
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return _go_next(request, reading)


STEPS: dict[str, tuple[Callable[[HttpRequest, ReviewCase, dict[str, Any]], HttpResponse], type[Form]]] = {
    "blind": (_answer_blind, BlindForm),
    "final": (_answer_final, FinalForm),
    "adjudicate": (_answer_adjudication, AdjudicationForm),
}


def _show(
    request: HttpRequest,
    case: ReviewCase,
    *,
    form: Form | None = None,
    problem: str = "",
    status: int = 200,
    just_claimed: bool = False,
    answered: Reading | None = None,
) -> HttpResponse:
    """The screen on which this person stands with the case. `just_claimed`: held for this request, so not asked again.

    The way from a key to the next case goes through here: what is not needed to read (how far one is, the next photos)
    is asked for by the page once the photo is painted.
    """
    person = person_of(request)
    if not just_claimed:
        case.refresh_from_db()
        queue.renew(case, person)
    screen = queue.step(case, person, just_claimed=just_claimed)
    context: dict[str, Any] = {"case": case, "screen": screen, "problem": problem, "keys": keys_of(person)}
    context |= {
        "last": answered or _last(request),
        "visits": queue.visits(case, has_answered=screen in ("reveal", "finished")),
    }
    if screen in ("reveal", "finished"):
        own = answered if screen == "reveal" and answered is not None else queue.own_reading(case, person)
        context |= {"reading": own, **(_ai(case) if queue.is_told(case, own) else {})}
    elif screen == "adjudicate":
        readings = case.readings.filter(retracted_at__isnull=True).exclude(role=Reading.Role.EXTRA)
        context |= {"readings": readings.order_by("pk"), "form": _kept(form, AdjudicationForm)}  # not who was first
    elif screen == "blind":
        context |= {"form": _kept(form, BlindForm), "seen": queue.has_seen(case, person)}
        context["ai_first"] = services.show_ai_first(case=case, reader=person)
        if context["ai_first"]:
            context |= _ai(case)
    else:
        context["may_claim"] = queue.readable(person).filter(pk=case.pk).exists()
        context["why"] = services.why_closed(case, person)
        context["kept"] = form.cleaned_data if form is not None and problem else None
    context["with_photo"] = just_claimed or queue.may_see_photo(case, person)
    return _rendered(request, case, context, status)


def _rendered(request: HttpRequest, case: ReviewCase, context: dict[str, Any], status: int) -> HttpResponse:
    """The case alone for htmx, else its whole page, which also says how far one is and works without JavaScript."""
    if request.htmx:  # type: ignore[attr-defined]
        response = render(request, "review/_case.html", context, status=status)
        response["HX-Push-Url"] = reverse("review:case", args=[case.pk])
        return response
    if context["screen"] == "blind":
        context["progress"] = progress.in_words(progress.counts(person_of(request)))
    return render(request, "review/case.html", context, status=status)


def _kept(form: Form | None, form_class: type[Form]) -> Form:
    """The form as the person filled it in, where it belongs to this screen; else an empty one."""
    return form if isinstance(form, form_class) else form_class()


def _ai(case: ReviewCase) -> dict[str, Any]:
    """What the AI said, for one whose blind answer is stored or who is shown it first on purpose."""
    return {
        "ai": case.prediction if queue.opinion(case) else None,
        "reasons": [REASONS.get(reason, reason) for reason in case.reasons],
    }


def _last(request: HttpRequest) -> Reading | None:
    """The answer that `Z` takes back."""
    since = timezone.now() - UNDO_WITHIN
    own = Reading.objects.filter(reader=person_of(request), retracted_at__isnull=True, blind_at__gte=since)
    return own.order_by("-blind_at").first()


# Holding and giving back ----------------------------------------------------------------------------------------------
@require_POST
@reviewers_only
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Hold this very case, where it is free and this person's to read."""
    case = find_case(pk)
    try:
        services.claim_case(case=case, reader=person_of(request))
    except services.Conflict as conflict:
        return _show(request, case, problem=str(conflict), status=409)
    return redirect("review:case", pk=pk)


@require_POST
@reviewers_only
def skip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put the case back unread and go to the next."""
    case = find_case(pk)
    try:
        services.skip_case(case=case, reader=person_of(request), reason=request.POST.get("reason", ""))
    except services.Conflict as conflict:
        return _show(request, case, problem=str(conflict), status=409)
    messages.info(request, "Skipped. It comes back after the others.")
    return _go_next(request)


@require_POST
@reviewers_only
def undo(request: HttpRequest) -> HttpResponse:
    """Take back one's own answer named in the form, and return to its case."""
    try:
        reading = get_object_or_404(Reading, pk=UUID(request.POST.get("reading", "")), reader=person_of(request))
    except ValueError as error:
        raise Http404("No such answer.") from error
    try:
        case = services.undo_reading(reading=reading, reader=person_of(request))
    except services.Conflict as conflict:
        messages.error(request, str(conflict))
        return redirect("review:case", pk=reading.case_id)
    messages.info(request, "Taken back. The case is yours again.")
    return redirect("review:case", pk=case.pk)


@require_POST
@reviewers_only
def renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep holding while the page is open: 204, or 409 when the lease has ended."""
    return HttpResponse(status=204 if queue.renew(find_case(pk), person_of(request)) else 409)


@require_POST
@reviewers_only
def ahead(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep the next cases and name their photos, which the page fetches while this case is read; and how far one is.

    Two short leases, renewed while the page is open. The answer holds addresses only: of the AI, and of why a case is
    in the queue, it says nothing.
    """
    person = person_of(request)
    kept = services.claim_ahead(case=find_case(pk), reader=person)
    photos = [reverse("review:photo", args=[case.pk]) for case in kept]
    return JsonResponse({"photos": photos, "progress": progress.in_words(progress.counts(person))})


@require_POST
@reviewers_only
def leave(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page was left: its cases are free for others in a few seconds."""
    queue.leave(find_case(pk), person_of(request))
    return HttpResponse(status=204)
