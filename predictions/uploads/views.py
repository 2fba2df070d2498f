"""The upload page: send a photo and see its answer in the same request."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from cataract.core.errors import DomainError, of_database
from cataract.core.http.htmx import is_htmx
from cataract.core.http.middleware import may_use_camera
from cataract.core.http.throttles import spend_upload
from cataract.core.http.users import user_of
from predictions.acceptance.notes import upload_note
from predictions.answering import services
from predictions.answering.errors import DuplicatePhoto, UploadRunning
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.photos.uploads import read_photo
from predictions.results.views import result_context
from predictions.uploads.forms import UploadForm, facts_for_other_eye, facts_for_retake, facts_for_same_eye

# By the name in the address: how the form is filled in from the photo of an earlier result.
_FILLED_IN = {
    "retake_of": facts_for_retake,
    "same_eye_of": facts_for_same_eye,
    "other_eye_of": facts_for_other_eye,
}


@may_use_camera
@login_required
@permission_required("predictions.add_eyeimage", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Show the upload form; answer the photo that it sends in the same request."""
    if request.method != "POST":
        known = _known(request)
        form = UploadForm(user=user_of(request), initial=known)
        context = {"form": form, "note": upload_note(user_of(request)), "headline": _headline(request, known)}
        return render(request, "predictions/upload.html", context)
    form = UploadForm(request.POST, request.FILES, user=user_of(request))
    if not form.is_valid():
        return _form_again(request, form, form.status)
    try:
        spend_upload(request, "upload")
        prediction = _send(request, form)
    except DomainError as error:
        return _refused(request, form, error)
    except OperationalError as error:
        return _refused(request, form, of_database(error))
    address = reverse("predictions:detail", args=[prediction.pk])
    if not is_htmx(request):
        return HttpResponseRedirect(address, status=HTTPStatus.SEE_OTHER)
    response = render(request, "predictions/_result.html", result_context(request, prediction))
    response["HX-Push-Url"] = address
    return response


def _known(request: HttpRequest) -> dict[str, Any]:
    """What is known of the next photo when it goes with an earlier result, by its id. Raises Http404."""
    for name, facts in _FILLED_IN.items():
        given = request.GET.get(name)
        if given is not None:
            visible = Prediction.objects.visible_to(user_of(request))
            return facts(get_object_or_404(visible, pk=_uuid(given)).image)
    return {}


def _headline(request: HttpRequest, known: dict[str, Any]) -> str:
    """Which eye is due, in words, when the two eyes of a patient are photographed one after the other; else empty."""
    if "other_eye_of" not in request.GET or not known.get("eye"):
        return ""
    return f"Now the {EyeImage.Eye(known['eye']).label} of {known['patient_key']}"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404("This is not the id of a result.") from error


def _send(request: HttpRequest, form: UploadForm) -> Prediction:
    sent = form.cleaned_data["photo"]
    try:
        prediction, _ = services.upload_once(
            user=user_of(request),
            endpoint="upload page",
            key=str(form.cleaned_data["key"]),  # made with the form: a second click is not a second photo
            data=read_photo(sent),
            name=sent.name or "",
            source=EyeImage.Source.UPLOAD,
            facts=form.facts(),
            send_anyway=form.cleaned_data["send_anyway"],
            is_shown=is_htmx(request),  # else the address of the result answers, and shows it
        )
    except UploadRunning as first:
        return first.prediction
    return prediction


def _refused(request: HttpRequest, form: UploadForm, error: DomainError) -> HttpResponse:
    form.add_error(None, error.message)
    context: dict[str, Any] = {"refusal": error}
    if isinstance(error, DuplicatePhoto):
        context |= {"can_send_anyway": error.code == "duplicate", "existing": error.existing}
    response = _form_again(request, form, error.status, **context)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _form_again(request: HttpRequest, form: UploadForm, status: int, **context: Any) -> HttpResponse:
    """The form with its values and errors. htmx swaps only successful responses, so its status is 200."""
    context |= {"form": form, "note": upload_note(user_of(request))}
    if is_htmx(request):
        return render(request, "predictions/_upload.html", context)
    return render(request, "predictions/upload.html", context, status=status)
