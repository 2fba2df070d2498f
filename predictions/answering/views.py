"""Pages: upload a photo, one result, the list of uploads."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from cataract.core.errors import DomainError, of_database
from cataract.core.http.polling import polling
from cataract.core.http.users import user_of
from predictions.answering import services
from predictions.answering.errors import DuplicatePhoto, UploadRunning
from predictions.answering.forms import UploadForm
from predictions.answering.models import Prediction
from predictions.answering.wording import describe
from predictions.photos.models import EyeImage
from predictions.photos.uploads import read_photo

PAGE_SIZE = 50
_POLLS = 60  # a waiting page polls this often, then stops and says so


@login_required
@permission_required("predictions.add_eyeimage", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Show the upload form; answer the photo that it sends in the same request."""
    if request.method != "POST":
        return render(request, "predictions/upload.html", {"form": UploadForm()})
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _form_again(request, form, form.status)
    try:
        prediction = _send(request, form)
    except DomainError as error:
        return _refused(request, form, error)
    except OperationalError as error:
        return _refused(request, form, of_database(error))
    address = reverse("predictions:detail", args=[prediction.pk])
    if not _is_htmx(request):
        return HttpResponseRedirect(address, status=HTTPStatus.SEE_OTHER)
    response = render(request, "predictions/_result.html", _result_context(request, prediction))
    response["HX-Push-Url"] = address
    return response


@login_required
@require_GET
def detail(request: HttpRequest, prediction_id: UUID) -> HttpResponse:
    """One result; while it is queued, the page polls for some minutes."""
    prediction = get_object_or_404(Prediction.objects.visible_to(user_of(request)), pk=prediction_id)
    context = _result_context(request, prediction)
    return render(request, f"predictions/{'_result' if _is_htmx(request) else 'result'}.html", context)


@login_required
@require_GET
def uploads(request: HttpRequest) -> HttpResponse:
    """The photos that the user may see, newest first."""
    page = Paginator(Prediction.objects.visible_to(user_of(request)).order_by("-created_at", "pk"), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    shown = list(page.object_list)
    services.disclose(predictions=shown, user=user_of(request))
    rows = [(prediction, describe(prediction)) for prediction in shown]
    return render(request, "predictions/list.html", {"page_obj": page, "rows": rows})


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
        )
    except UploadRunning as first:
        return first.prediction
    return prediction


def _refused(request: HttpRequest, form: UploadForm, error: DomainError) -> HttpResponse:
    form.add_error(None, error.message)
    context: dict[str, Any] = {"refusal": error}
    if isinstance(error, DuplicatePhoto) and error.code == "duplicate":
        context["can_send_anyway"] = True
        if error.prediction is not None:
            context["existing"] = Prediction.objects.visible_to(user_of(request)).filter(pk=error.prediction.pk).first()
    response = _form_again(request, form, error.status, **context)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _form_again(request: HttpRequest, form: UploadForm, status: int, **context: Any) -> HttpResponse:
    """The form with its values and errors. htmx swaps only successful responses, so its status is 200."""
    context["form"] = form
    if _is_htmx(request):
        return render(request, "predictions/_upload.html", context)
    return render(request, "predictions/upload.html", context, status=status)


def _result_context(request: HttpRequest, prediction: Prediction) -> dict[str, Any]:
    services.disclose(predictions=[prediction], user=user_of(request))
    waiting = prediction.status == Prediction.Status.QUEUED
    return {
        "prediction": prediction,
        "image": prediction.image,
        "words": describe(prediction),
        "waiting": waiting,
        **polling(request, waits=waiting, most=_POLLS, quick=10),
    }


def _is_htmx(request: HttpRequest) -> bool:
    return bool(request.htmx)  # type: ignore[attr-defined]
