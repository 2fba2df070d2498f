"""Pages of outcomes: the list, one outcome as a form, and a table of many."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from cataract.core.csv_tables import TableRefused
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from review.outcomes import services
from review.outcomes.forms import OutcomeForm, OutcomeTableForm
from review.outcomes.models import Outcome
from review.outcomes.tables import COLUMNS, MAX_BYTES, NEEDED, read_outcomes

ADD = "review.add_outcome"
PAGE_SIZE = 50


@require_GET
@never_cache
@login_required
@permission_required("review.view_outcome", raise_exception=True)
def outcomes_page(request: HttpRequest) -> HttpResponse:
    """The standing outcomes that the user may see, newest first, by patient where one is named."""
    outcomes = Outcome.objects.standing().visible_to(user_of(request)).select_related("patient__site", "recorded_by")
    patient = request.GET.get("patient", "").strip()
    if patient:
        outcomes = outcomes.filter(patient__key=patient)
    page = Paginator(outcomes.order_by("-created_at", "pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    services.disclose(outcomes=list(page.object_list), user=user_of(request))
    return render(request, "review/outcomes.html", {"page_obj": page, "patient": patient})


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
@permission_required(ADD, raise_exception=True)
def record_page(request: HttpRequest) -> HttpResponse:
    """Record an outcome, or correct one (`corrects`). A photo (`prediction`) fills in whose eye it is."""
    user = user_of(request)
    corrects = _corrected(user, request.GET.get("corrects", ""))
    form = OutcomeForm(request.POST or None, user=user, initial=_initial(request, user, corrects))
    if request.method == "POST" and form.is_valid():
        try:
            outcome = services.record_outcome(user=user, facts=form.facts(), corrects=corrects)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.success(request, "Outcome recorded.")
            return redirect(f"{reverse('review:outcomes')}?{urlencode({'patient': outcome.patient.key})}")
    context = {"form": form, "corrects": corrects}
    return render(request, "review/outcome.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
@permission_required(ADD, raise_exception=True)
def import_page(request: HttpRequest) -> HttpResponse:
    """Record the outcomes of a CSV table: all of them, or none where a row is wrong."""
    bound = request.method == "POST"
    form = OutcomeTableForm(request.POST, request.FILES) if bound else OutcomeTableForm()
    errors: dict[str, list[str]] = {}
    if bound and form.is_valid():
        try:
            rows = read_outcomes(form.cleaned_data["table"].read(MAX_BYTES + 1))
            count, errors = services.record_outcomes(user=user_of(request), rows=rows)
            if errors:
                raise TableRefused(f"The table has errors, first in {next(iter(errors))}. Nothing was stored.", errors)
            messages.success(request, f"{count} outcome{'s are' if count != 1 else ' is'} recorded.")
            return redirect("review:outcomes")
        except TableRefused as error:
            errors = error.errors
            form.add_error("table", error.message)
    context = {"form": form, "errors": errors, "columns": COLUMNS, "needed": NEEDED}
    return render(request, "review/outcomes_import.html", context, status=422 if form.is_bound else 200)


def _corrected(user: User, key: str) -> Outcome | None:
    if not key:
        return None
    visible = Outcome.objects.visible_to(user).select_related("patient__site")
    outcome = get_object_or_404(visible, pk=_uuid(key))
    services.disclose(outcomes=[outcome], user=user)
    return outcome


def _initial(request: HttpRequest, user: User, corrects: Outcome | None) -> dict[str, Any]:
    """What the form starts with: the corrected outcome, the eye of a photo, or what the address names."""
    if corrects is not None:
        names = ("eye", "operated", "seen_on", "source", "note")
        found = {name: getattr(corrects, name) for name in names}
        cataract = "yes" if corrects.cataract else "no"
        return {**found, "patient": corrects.patient.key, "site": corrects.patient.site_id, "cataract": cataract}
    if key := request.GET.get("prediction", ""):
        image = get_object_or_404(Prediction.objects.visible_to(user), pk=_uuid(key)).image
        return {"patient": image.patient_key, "site": image.site_id, "eye": image.eye}
    return {name: request.GET[name] for name in ("patient", "eye", "site") if name in request.GET}


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise Http404("No such row.") from None
