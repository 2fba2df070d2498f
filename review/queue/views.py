"""The pages around the reading: the worklist, one's own keys, and sending a result to a reader by hand."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from review.cases import permissions
from review.queue import services, worklist
from review.queue.forms import AssignForm, WorklistForm

PAGE_SIZE = 50


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def worklist_page(request: HttpRequest) -> HttpResponse:
    """All cases by state, age, site and reader; admins also see reasons, and assign or move what they ticked."""
    person = user_of(request)
    if not any(person.has_perm(name) for name in (permissions.READ, permissions.ADJUDICATE, worklist.LOOK)):
        raise PermissionDenied
    chosen = AssignForm(request.POST or None)
    if request.method == "POST":
        if not person.has_perm(worklist.ASSIGN):
            raise PermissionDenied
        if chosen.is_valid():
            _say(request, chosen.cleaned_data)
            return redirect(request.get_full_path())
    form = WorklistForm(request.GET, person=person)
    filters = form.filters()
    page = Paginator(worklist.cases(person, filters), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "chosen": chosen,
        "page_obj": page,
        "totals": worklist.totals(person),
        "with_reasons": worklist.may_see_reasons(person),
        "may_assign": person.has_perm(worklist.ASSIGN),
        "now": timezone.now(),
    }
    return render(request, "review/worklist.html", context, status=422 if chosen.is_bound else 200)


def _say(request: HttpRequest, data: dict[str, Any]) -> None:
    """Do what the form asks, and say how many cases it touched."""
    ticked = len(data["cases"])
    if data["assign"] is not None:
        reader = None if data["assign"] == "nobody" else data["assign"]
        done = services.assign_cases(cases=data["cases"], reader=reader)
        left = (
            f" {ticked - done} not: closed, read by this person, or the AI's answer is known." if done < ticked else ""
        )
        messages.success(request, f"{done} assigned to {reader or 'nobody in particular'}.{left}")
    if data["priority"] is not None:
        done = services.set_priority(cases=data["cases"], priority=data["priority"])
        messages.success(request, f"{done} have priority {data['priority']} now.")


@require_POST
@login_required
def ask(request: HttpRequest, prediction: UUID) -> HttpResponse:
    """Send a result to a reader by hand, by anybody who may see it; asked twice is asked once."""
    found = get_object_or_404(Prediction.objects.visible_to(user_of(request)), pk=prediction)
    if found.status == Prediction.Status.QUEUED:
        messages.info(request, "The answer is still on its way. Ask again when it is there.")
    else:
        services.request_review(prediction=found)
        messages.success(request, "A clinician will read this photo.")
    return redirect("predictions:detail", found.pk)
