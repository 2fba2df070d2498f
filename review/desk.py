"""The pages around the reading: one's own keys, and sending a result to a reader by hand."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from predictions.access import visible_predictions
from predictions.models import Prediction
from review import keys, services
from review.forms import KeysForm
from review.guards import person_of, reviewers_only


@require_http_methods(["GET", "POST"])
@reviewers_only
def own_keys(request: HttpRequest) -> HttpResponse:
    """Change the keys of the reading page, or switch single ones off."""
    person = person_of(request)
    if request.method == "POST" and "usual" in request.POST:
        keys.save_keys(user=person, keys={})
        messages.success(request, "The usual keys are back.")
        return redirect("review:keys")
    form = KeysForm(request.POST or None, initial=keys.keys_of(person))
    if request.method == "POST" and form.is_valid():
        keys.save_keys(user=person, keys=form.cleaned_data)
        messages.success(request, "Saved. The reading page uses these keys now.")
        return redirect("review:keys")
    return render(request, "review/keys.html", {"form": form}, status=422 if form.is_bound else 200)


@require_POST
@login_required
def ask(request: HttpRequest, prediction: UUID) -> HttpResponse:
    """Send a result to a reader by hand, by anybody who may see it; asked twice is asked once."""
    found = get_object_or_404(visible_predictions(person_of(request)), pk=prediction)
    if found.status == Prediction.Status.QUEUED:
        messages.info(request, "The answer is still on its way. Ask again when it is there.")
    else:
        services.request_review(prediction=found)
        messages.success(request, "A clinician will read this photo.")
    return redirect("predictions:detail", found.pk)
