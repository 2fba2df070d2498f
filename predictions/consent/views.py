"""The page that changes the consent of photos (`?photo=`, any number) or of a patient (`?patient=`)."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.consent import services
from predictions.consent.forms import ConsentForm
from predictions.photos.chosen import Chosen, chosen_by

_SHOWN = 50  # changes of the record


@login_required
@permission_required("predictions.change_consent", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def consent(request: HttpRequest) -> HttpResponse:
    """Show who may learn from these photos and since when; change it when the form is posted."""
    chosen = chosen_by(request.GET, user_of(request))
    form = ConsentForm(request.POST or None)
    if form.is_valid():
        try:
            changed = _change(chosen, request, **form.cleaned_data)
        except DomainError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _done(changed, form.cleaned_data["may_train"]))
            return HttpResponseRedirect(request.get_full_path(), status=303)
    trains = chosen.photos.filter(may_train=True).count()
    context = {
        "form": form,
        "chosen": chosen,
        "trains": trains,
        "count": chosen.photos.count(),
        "history": services.history_of(photos=chosen.photos, patient=chosen.patient)[:_SHOWN],
    }
    return render(request, "predictions/consent.html", context, status=422 if form.errors else 200)


def _change(chosen: Chosen, request: HttpRequest, **values: Any) -> int:
    if chosen.is_whole_patient and chosen.patient is not None:
        return services.change_consent_of_patient(patient=chosen.patient, user=user_of(request), **values)
    return services.change_consent(photos=chosen.photos, user=user_of(request), **values)


def _done(changed: int, may_train: bool) -> str:
    photos = "1 photo" if changed == 1 else f"{changed} photos"
    if may_train:
        return f"Consent is given. Photos that changed: {changed}."
    return f"Consent is withdrawn. {photos} left the training data; the next training learns without them."
