"""The review pages. Until a reader's blind answer is stored, nothing here renders, names or links the AI's answer."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from review import queue, services
from review.forms import AdjudicationForm, BlindForm, FinalForm
from review.models import Reading, ReviewCase
from review.photos import photo_of

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
}
View = Callable[..., HttpResponse]


def reviewers_only(view: View) -> View:
    """For readers, adjudicators, and those who may look at cases; everybody else is told so (403)."""

    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not any(_person(request).has_perm(name) for name in (queue.READ, queue.ADJUDICATE)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _find(pk: UUID) -> ReviewCase:
    case: ReviewCase = get_object_or_404(ReviewCase.objects.select_related("image", "prediction"), pk=pk)
    return case


# The queue ------------------------------------------------------------------------------------------------------------
@require_GET
@reviewers_only
def queue_page(request: HttpRequest) -> HttpResponse:
    """How many cases wait for this person, who holds the others, and the button that starts."""
    context = {"counts": queue.counts(_person(request)), "last": _last(request)}
    return render(request, "review/queue.html", context)


@require_POST
@reviewers_only
def next_case(request: HttpRequest) -> HttpResponse:
    """Claim the next case and go there."""
    return _go_next(request)


def _go_next(request: HttpRequest) -> HttpResponse:
    case = services.claim_next(reader=_person(request))
    if case is not None:
        return _go_to(request, case)
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(reverse("review:queue"))
    return redirect("review:queue")


def _go_to(request: HttpRequest, case: ReviewCase) -> HttpResponse:
    """The case's address; for htmx the case itself at once, which saves a second request."""
    if request.htmx:  # type: ignore[attr-defined]
        return _show(request, case)
    return redirect("review:case", pk=case.pk)


# One case -------------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@reviewers_only
def case_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One address for a case: blind form, then (where the AI differs) both answers, then the next case."""
    case = _find(pk)
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
    reading = services.store_blind_answer(case=case, reader=_person(request), **data)
    if not reading.final_answer:
        return _go_to(request, case)
    said = reading.get_final_answer_display()
    opinion = queue.opinion(case)
    agreed = " The AI says the same." if opinion and not queue.contradicts(reading.final_answer, opinion) else ""
    messages.success(request, f"Saved: {said.lower()}.{agreed}")
    return _go_next(request)


def _answer_final(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = queue.own_reading(case, _person(request))
    if reading is None:
        raise services.Conflict(services.why_closed(case, _person(request)))
    services.store_final_answer(reading=reading, answer=data["answer"], seconds=data["seconds"])
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return _go_next(request)


def _answer_adjudication(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    reading = services.adjudicate(
        case=case,
        adjudicator=_person(request),
        answer=data["answer"],
        reason=data["reason"],
        viewer=data["viewer"],
    )
    messages.success(request, f"Saved: {reading.get_final_answer_display().lower()}.")
    return _go_next(request)


STEPS: dict[str, tuple[Callable[[HttpRequest, ReviewCase, dict[str, Any]], HttpResponse], type[Form]]] = {
    "blind": (_answer_blind, BlindForm),
    "final": (_answer_final, FinalForm),
    "adjudicate": (_answer_adjudication, AdjudicationForm),
}


def _show(
    request: HttpRequest, case: ReviewCase, *, form: Form | None = None, problem: str = "", status: int = 200
) -> HttpResponse:
    case.refresh_from_db()
    person = _person(request)
    queue.renew(case, person)
    screen = queue.step(case, person)
    context: dict[str, Any] = {"case": case, "screen": screen, "problem": problem, "last": _last(request)}
    if screen in ("reveal", "finished"):
        context |= {"reading": queue.own_reading(case, person), **_ai(case)}
    elif screen == "adjudicate":
        readings = case.readings.filter(retracted_at__isnull=True).order_by("pk")  # no order that tells who was first
        context |= {"readings": readings, "form": _kept(form, AdjudicationForm)}
    elif screen == "blind":
        context |= {"form": _kept(form, BlindForm), "counts": queue.counts(person)}
        context["ai_first"] = services.show_ai_first(case=case, reader=person)
        if context["ai_first"]:
            context |= _ai(case)
        context["seen"] = ReviewCase.objects.filter(queue.knows_answer(person), pk=case.pk).exists()
    else:
        context["may_claim"] = queue.readable(person).filter(pk=case.pk).exists()
        context["why"] = services.why_closed(case, person)
        context["kept"] = form.cleaned_data if form is not None and problem else None
    context["with_photo"] = queue.may_see_photo(case, person)
    template = "review/_case.html" if request.htmx else "review/case.html"  # type: ignore[attr-defined]
    response = render(request, template, context, status=status)
    if request.htmx:  # type: ignore[attr-defined]
        response["HX-Push-Url"] = reverse("review:case", args=[case.pk])
    return response


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
    own = Reading.objects.filter(reader=_person(request), retracted_at__isnull=True, blind_at__gte=since)
    return own.order_by("-blind_at").first()


# Holding and giving back ----------------------------------------------------------------------------------------------
@require_POST
@reviewers_only
def claim(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Hold this very case, where it is free and this person's to read."""
    case = _find(pk)
    try:
        services.claim_case(case=case, reader=_person(request))
    except services.Conflict as conflict:
        return _show(request, case, problem=str(conflict), status=409)
    return redirect("review:case", pk=pk)


@require_POST
@reviewers_only
def skip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put the case back unread and go to the next."""
    case = _find(pk)
    try:
        services.skip_case(case=case, reader=_person(request), reason=request.POST.get("reason", ""))
    except services.Conflict as conflict:
        return _show(request, case, problem=str(conflict), status=409)
    messages.info(request, "Skipped. It comes back after the others.")
    return _go_next(request)


@require_POST
@reviewers_only
def undo(request: HttpRequest) -> HttpResponse:
    """Take back one's own answer named in the form, and return to its case."""
    try:
        reading = get_object_or_404(Reading, pk=UUID(request.POST.get("reading", "")), reader=_person(request))
    except ValueError as error:
        raise Http404("No such answer.") from error
    try:
        case = services.undo_reading(reading=reading, reader=_person(request))
    except services.Conflict as conflict:
        messages.error(request, str(conflict))
        return redirect("review:case", pk=reading.case_id)
    messages.info(request, "Taken back. The case is yours again.")
    return redirect("review:case", pk=case.pk)


@require_POST
@reviewers_only
def renew(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Keep holding while the page is open: 204, or 409 when the lease has ended."""
    return HttpResponse(status=204 if queue.renew(_find(pk), _person(request)) else 409)


@require_POST
@reviewers_only
def leave(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The page was left: the case is free for others in a few seconds."""
    queue.leave(_find(pk), _person(request))
    return HttpResponse(status=204)


# The photo ------------------------------------------------------------------------------------------------------------
@require_GET
@login_required
def photo(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The photo of a case, re-encoded without metadata, for who reads it, has read it, or may see every photo."""
    case = _find(pk)
    if not queue.may_see_photo(case, _person(request)):
        raise PermissionDenied
    headers = {"Cache-Control": "private, max-age=3600"}
    return HttpResponse(photo_of(case), content_type="image/jpeg", headers=headers)
