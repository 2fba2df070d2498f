"""The worklist, and sending a result to a reader by hand."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cataract.core.http import keyset
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from review.cases.permissions import ADJUDICATE, ASSIGN, READ, VIEW_CASES, has_any
from review.queue import services, worklist
from review.queue.forms import ANY_READER, AssignForm, WorklistForm

PAGE_SIZE = 50


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def worklist_page(request: HttpRequest) -> HttpResponse:
    """All cases with filters; admins also see reasons, and assign or prioritise the selected cases."""
    user = user_of(request)
    if not has_any(user, READ, ADJUDICATE, VIEW_CASES):
        raise PermissionDenied
    assign_form = AssignForm(request.POST or None)
    if request.method == "POST":
        if not user.has_perm(ASSIGN):
            raise PermissionDenied
        if assign_form.is_valid():
            _assign_and_prioritise(request, assign_form.cleaned_data)
            return redirect(request.get_full_path())
    form = WorklistForm(request.GET, user=user)
    cases = worklist.cases(user, form.filters())
    page = keyset.page_of(cases, size=PAGE_SIZE, address=request.GET)
    is_start = not any(request.GET.values())
    context = {
        "form": form,
        "assign_form": assign_form,
        "page": page,
        "leading": worklist.rows_of(worklist.leading(user)) if is_start else [],
        "rows": worklist.rows_of(page.object_list),
        "may_read": has_any(user, READ, ADJUDICATE),
        "totals": worklist.totals(user),
        "with_reasons": worklist.may_see_reasons(user),
        "may_assign": user.has_perm(ASSIGN),
    }
    return render(request, "review/worklist.html", context, status=422 if assign_form.is_bound else 200)


def _assign_and_prioritise(request: HttpRequest, data: dict[str, Any]) -> None:
    """Apply the form to the selected cases and report how many changed."""
    cases, assign, priority = data["cases"], data["assign"], data["priority"]
    if assign is not None:
        reader = None if assign == ANY_READER else assign
        selected = len(cases)
        assigned = services.assign_cases(cases=cases, reader=reader)
        left_out = selected - assigned
        reason = f" {left_out} not: closed, read by this reader, or the AI's answer is known." if left_out else ""
        messages.success(request, f"{assigned} assigned to {reader or 'any reader'}.{reason}")
    if data["end_leases"]:
        ended = services.end_leases(cases=cases, by=user_of(request))
        messages.success(request, f"{ended} {'case was' if ended == 1 else 'cases were'} taken back from readers.")
    if priority is not None:
        changed = services.set_priority(cases=cases, priority=priority)
        messages.success(request, f"{changed} {'has' if changed == 1 else 'have'} priority {priority} now.")


@require_POST
@login_required
def request_review(request: HttpRequest, prediction: UUID) -> HttpResponse:
    """Send a result that this user may see to a reader. A second request changes nothing."""
    row = get_object_or_404(Prediction.objects.visible_to(user_of(request)), pk=prediction)
    if row.status == Prediction.Status.QUEUED:
        messages.info(request, "The result is not ready yet. Request a review when it is.")
    else:
        services.request_review(prediction=row)
        messages.success(request, "A clinician will read this photo.")
    return redirect("predictions:detail", row.pk)
