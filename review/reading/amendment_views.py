"""The page on which an adjudicator amends or reopens a resolved case."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from cataract.core.errors import DomainError
from cataract.core.http.users import credential_of, user_of
from predictions.answering.answers import Answer
from review.cases.models import Reading, ReviewCase
from review.cases.permissions import adjudicators_only, find_case
from review.queue import policy
from review.reading import access, amendments, transitions
from review.reading.forms import AmendForm, ReopenForm


@require_http_methods(["GET", "POST"])
@adjudicators_only
def amend_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Amend or reopen a case. Earlier answers are shown on request only, and that is recorded: see `_answers`."""
    case = find_case(pk)
    if case.kind != ReviewCase.Kind.CASE:
        raise Http404("Hidden checks are not amended.")
    act = request.POST.get("act", "")
    amend_form = AmendForm(request.POST if act == "amend" else None)
    reopen_form = ReopenForm(request.POST if act == "reopen" else None)
    form: Form = amend_form if act == "amend" else reopen_form
    problem: DomainError | None = None
    if request.method == "POST" and form.is_valid():
        try:
            _store(request, case, act, form.cleaned_data)
            return redirect("review:case", pk=pk)
        except DomainError as error:
            problem = error
    context = {
        "case": case,
        "amend_form": amend_form,
        "reopen_form": reopen_form,
        "problem": "" if problem is None else problem.message,
        "is_own": amendments.is_own(case, user_of(request)),
        "is_resolved": case.status == ReviewCase.Status.RESOLVED,
        "seen": policy.has_seen(case, user_of(request)),
    }
    if request.GET.get("answers") == "shown":
        context |= _answers(request, case)
    status = problem.status if problem is not None else 422 if form.is_bound else 200
    return render(request, "review/amend.html", context, status=status)


def _store(request: HttpRequest, case: ReviewCase, act: str, data: dict[str, Any]) -> None:
    user = user_of(request)
    if act == "amend":
        amendments.amend_case(case=case, adjudicator=user, made_by=credential_of(request), **data)
        messages.success(request, f"Amended: {Answer(data['answer']).label.lower()}.")
    else:
        amendments.reopen_case(case=case, adjudicator=user, **data)
        messages.success(request, f"Reopened for {amendments.REOPEN_FOR[ReviewCase.Status(data['to'])]}.")


def _answers(request: HttpRequest, case: ReviewCase) -> dict[str, Any]:
    """What the AI and people answered so far. Whoever is shown it is never a blind reader of this photo again."""
    transitions.disclose(case, user_of(request))
    decision = policy.ai_decision(case)
    return {
        "answers_shown": True,
        "seen": True,
        "readings": access.readings_to_adjudicate(case),
        "ai_answer": Answer(decision).label if decision else "",
        "amendments": case.amendments.select_related("by"),
        "adjudicator": Reading.Role.ADJUDICATOR,
    }
