"""Ask a colleague, escalate or flag from the reading page; and the list of concerns for those who assign cases."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from cataract.core.http.users import user_of
from predictions.answering.blindness import reads_blind
from review.cases.models import Concern, ReviewCase
from review.cases.permissions import assigners_only, find_case, reviewers_only
from review.reading import concerns, screens, transitions
from review.reading.forms import AskForm

SHOWN = 100


@require_POST
@reviewers_only
def ask(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask a colleague or a senior, and go to the next case; or flag the case and stay."""
    case = find_case(pk)
    form = AskForm(request.POST, asker=user_of(request))
    if not form.is_valid():
        return screens.render_case(request, case, asked=form, status=422)
    try:
        return _send(request, case, form.cleaned_data)
    except transitions.Conflict as conflict:
        return screens.render_case(request, case, asked=form, problem=str(conflict), status=409)


def _send(request: HttpRequest, case: ReviewCase, data: dict[str, Any]) -> HttpResponse:
    user, reason = user_of(request), data["reason"]
    if data["kind"] == Concern.Kind.FLAG:
        concerns.flag(case=case, reader=user, reason=reason)
        messages.info(request, "Flagged. You can still read the case.")
        return screens.go_to(request, case)
    if data["kind"] == Concern.Kind.COLLEAGUE:
        concerns.ask_colleague(case=case, reader=user, colleague=data["colleague"], reason=reason)
        messages.info(request, f"{data['colleague']} is asked to read the case.")
    else:
        concerns.escalate(case=case, reader=user, reason=reason)
        messages.info(request, "Escalated. An adjudicator reads the case.")
    return screens.go_to_next(request)


@require_GET
@assigners_only
def concerns_page(request: HttpRequest) -> HttpResponse:
    """What readers asked or flagged and nobody has settled. Its reasons are hidden from people who read blind."""
    rows = Concern.objects.filter(settled_at__isnull=True).select_related("case__image__patient", "by", "asked")[:SHOWN]
    return render(request, "review/concerns.html", {"concerns": rows, "blind": reads_blind(user_of(request))})


@require_POST
@assigners_only
def settle(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a concern off the list."""
    concerns.settle(concern=get_object_or_404(Concern, pk=pk))
    messages.success(request, "Settled.")
    return redirect("review:concerns")
