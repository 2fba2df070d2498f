"""Pages: one result, and the list of uploads."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from cataract.core.http import keyset
from cataract.core.http.htmx import is_htmx
from cataract.core.http.polling import polling
from cataract.core.http.users import user_of
from cataract.core.querysets import count_up_to
from cataract.ml.labels import CLASSES
from predictions.acceptance.notes import guarantee_of
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.news import services as news
from predictions.news.forms import DigestForm
from predictions.news.models import News
from predictions.photos.models import EyeImage
from predictions.results.filters import UploadsFilter
from predictions.results.history import earlier_of, history_of, results_of
from predictions.results.wording import describe
from predictions.saved_filters.models import SavedFilter

PAGE_SIZE = 50
_POLLS = 60  # a waiting page polls this often, then stops and says so


@login_required
@require_GET
def detail(request: HttpRequest, prediction_id: UUID) -> HttpResponse:
    """One result; while it is queued, the page polls for some minutes."""
    prediction = get_object_or_404(Prediction.objects.visible_to(user_of(request)), pk=prediction_id)
    context = result_context(request, prediction)
    return render(request, f"predictions/{'_result' if is_htmx(request) else 'result'}.html", context)


@login_required
@require_GET
def uploads(request: HttpRequest) -> HttpResponse:
    """The photos that the user may see, newest first, as far as the filters in the address allow."""
    user = user_of(request)
    found = UploadsFilter(request.GET, Prediction.objects.visible_to(user), request=request)
    page = keyset.page_of(found.qs, size=PAGE_SIZE, address=request.GET)
    shown = page.object_list
    services.disclose(predictions=shown, user=user)
    unseen = News.objects.visible_to(user).unseen().filter(prediction__in=shown)
    new = set(unseen.values_list("prediction_id", flat=True))
    context = {
        "page": page,
        "count": count_up_to(found.qs),
        "rows": [(prediction, describe(prediction), prediction.pk in new) for prediction in shown],
        "filter": found,
        "saved_filters": SavedFilter.objects.visible_to(user),
        "digest_form": DigestForm(initial={"wants_digest": news.wants_digest(user)}) if settings.SENDS_MAIL else None,
    }
    return render(request, "predictions/list.html", context)


def result_context(request: HttpRequest, prediction: Prediction) -> dict[str, Any]:
    """What the result template shows; records that it was shown, and that it is no news any more."""
    user = user_of(request)
    services.disclose(predictions=[prediction], user=user)
    news.mark_seen(user=user, prediction_id=prediction.pk)
    results, result = results_of(prediction), prediction.final_result
    waiting = prediction.status == Prediction.Status.QUEUED
    return {
        "prediction": prediction,
        "image": prediction.image,
        "words": describe(prediction),
        "result": result,
        "is_by_people": result is not None and result.is_by_people,
        "guarantee": _guarantee(prediction) if result is not None and not result.is_by_people else "",
        "earlier": earlier_of(result, results),
        "history": history_of(prediction, results),
        "waiting": waiting,
        "other_eye_due": _other_eye_due(prediction.image),
        **polling(request, waits=waiting, most=_POLLS, quick=10),
    }


def _other_eye_due(image: EyeImage) -> str:
    """The eye of the patient of which there is no photo yet, in words; empty with both, or without patient or eye."""
    other = EyeImage.Eye(image.eye).other
    if not image.patient_id or not other:
        return ""
    if EyeImage.objects.kept().filter(patient=image.patient_id, eye=other, withdrawn_at__isnull=True).exists():
        return ""
    return str(other.label)


def _guarantee(prediction: Prediction) -> str:
    """What backs an answer of the AI alone; empty where it is no class."""
    image, at = prediction.image, prediction.done_at
    if prediction.decision not in CLASSES or prediction.release_id is None or at is None:
        return ""
    return guarantee_of(
        site=image.site_id, device=image.device_id, release=prediction.release_id, side=prediction.decision, at=at
    )
