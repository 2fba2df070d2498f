"""Pages: one result, and the list of uploads."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from cataract.core.http.htmx import is_htmx
from cataract.core.http.polling import polling
from cataract.core.http.users import user_of
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.results.wording import describe

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
    """The photos that the user may see, newest first."""
    predictions = Prediction.objects.visible_to(user_of(request)).in_use().order_by("-created_at", "pk")
    page = Paginator(predictions, PAGE_SIZE).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    services.disclose(predictions=shown, user=user_of(request))
    rows = [(prediction, describe(prediction)) for prediction in shown]
    return render(request, "predictions/list.html", {"page_obj": page, "rows": rows})


def result_context(request: HttpRequest, prediction: Prediction) -> dict[str, Any]:
    """What the result template shows; records that it was shown."""
    services.disclose(predictions=[prediction], user=user_of(request))
    waiting = prediction.status == Prediction.Status.QUEUED
    return {
        "prediction": prediction,
        "image": prediction.image,
        "words": describe(prediction),
        "waiting": waiting,
        **polling(request, waits=waiting, most=_POLLS, quick=10),
    }
