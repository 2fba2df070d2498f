"""Holding a case and giving it back: claim, skip, undo, and what the open page asks for by itself."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from review import machine, progress, queue, screens, services
from review.guards import find_case, person_of, reviewers_only
from review.models import Reading


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
        services.claim_case(case=case, reader=person_of(request))
    except machine.Conflict as conflict:
        return screens.show(request, case, problem=str(conflict), status=409)
    return redirect("review:case", pk=pk)


@require_POST
@reviewers_only
def skip(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put the case back unread and go to the next."""
    case = find_case(pk)
    try:
        services.skip_case(case=case, reader=person_of(request), reason=request.POST.get("reason", ""))
    except machine.Conflict as conflict:
        return screens.show(request, case, problem=str(conflict), status=409)
    messages.info(request, "Skipped. It comes back after the others.")
    return screens.go_next(request)


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
    except machine.Conflict as conflict:
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
    """Keep the next two cases for this person, with their screens and their photos' addresses; and how far one is.

    Short leases, renewed while the page is open. Of the AI, and of why a case is in the queue, the answer says nothing.
    """
    person, case = person_of(request), find_case(pk)
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
    queue.leave(find_case(pk), person_of(request))
    return HttpResponse(status=204)
