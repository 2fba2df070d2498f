"""Pages: correct, withdraw or restore one photo; and near-copies under two patients. They show no answer."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from predictions.corrections import services
from predictions.corrections.forms import CheckForm, CorrectionForm, ReasonForm, WithdrawalForm
from predictions.photos.models import EyeImage, WrongPatientCheck

_PAGE_SIZE = 20
_senders_only = permission_required("predictions.add_eyeimage", raise_exception=True)


@login_required
@_senders_only
@require_http_methods(["GET", "HEAD", "POST"])
def correct(request: HttpRequest, prediction_id: UUID) -> HttpResponse:
    """The forms that correct the photo of a prediction; the button of the sent form names what is done."""
    prediction = get_object_or_404(Prediction.objects.visible_to(user_of(request)), pk=prediction_id)
    image = prediction.image
    action = request.POST.get("action", "") if request.method == "POST" else ""
    sent = {name: request.POST if action == name else None for name in ("correct", "withdraw", "restore")}
    forms = {
        "correct": CorrectionForm(sent["correct"], image=image, auto_id="id_correct_%s"),
        "withdraw": WithdrawalForm(sent["withdraw"], auto_id="id_withdraw_%s"),
        "restore": ReasonForm(sent["restore"], auto_id="id_restore_%s"),
    }
    status = HTTPStatus.OK
    if action in forms:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        form = forms[action]
        if form.is_valid():
            try:
                _carry_out(action, image, form.cleaned_data, request)
            except DomainError as error:
                form.add_error(None, error.message)
                status = HTTPStatus(error.status)
            else:
                address = reverse("predictions:detail", args=[prediction.pk])
                return HttpResponseRedirect(address, status=HTTPStatus.SEE_OTHER)
    context = {"prediction": prediction, "image": image, "forms": forms, "sent": action}
    return render(request, "predictions/correct.html", context, status=status)


def _carry_out(action: str, image: EyeImage, stated: dict[str, Any], request: HttpRequest) -> None:
    user = user_of(request)
    if action == "correct":
        services.correct_photo(image=image, user=user, **stated)
        messages.success(request, "Corrected. The answer stays: it is about the photo.")
    elif action == "withdraw":
        services.withdraw_photo(image=image, user=user, **stated)
        messages.success(request, "Withdrawn. The photo stays on record with your reason.")
    else:
        services.restore_photo(image=image, user=user, **stated)
        messages.success(request, "Restored.")


@login_required
@_senders_only
@require_GET
def checks(request: HttpRequest) -> HttpResponse:
    """Near-copies under two patients that nobody has checked yet, both photos side by side."""
    return _checks_page(request)


@login_required
@_senders_only
@require_POST
def answer_check(request: HttpRequest, check_id: UUID) -> HttpResponse:
    """Answer whose photos these are, and go back to the list."""
    seen = WrongPatientCheck.objects.visible_to(user_of(request)).select_related(*_PHOTOS)
    check = get_object_or_404(seen, pk=check_id)
    form = CheckForm(request.POST, check=check)
    if not form.is_valid():
        return _checks_page(request, form, check, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        services.resolve_check(
            check=check, belongs_to=form.belongs_to, reason=form.cleaned_data["reason"], user=user_of(request)
        )
    except DomainError as error:
        form.add_error(None, error.message)
        return _checks_page(request, form, check, HTTPStatus(error.status))
    messages.success(request, "Saved.")
    return HttpResponseRedirect(reverse("predictions:checks"), status=HTTPStatus.SEE_OTHER)


_PHOTOS = ("image__patient", "image__site", "twin__patient", "twin__site")


def _checks_page(
    request: HttpRequest,
    form: CheckForm | None = None,
    sent: WrongPatientCheck | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    """The open checks; `form` is the one that was `sent`, with its errors."""
    open_checks = WrongPatientCheck.objects.visible_to(user_of(request)).open().select_related(*_PHOTOS)
    found = open_checks.prefetch_related("image__predictions", "twin__predictions")
    page = Paginator(found, _PAGE_SIZE).get_page(request.GET.get("page"))
    forms = [form if form and sent and sent.pk == check.pk else CheckForm(check=check) for check in page]
    rows = list(zip(page, forms, strict=True))
    late = form.non_field_errors() if form and sent and all(sent.pk != check.pk for check in page) else []
    context = {"page_obj": page, "rows": rows, "late": late}
    return render(request, "predictions/checks.html", context, status=status)
