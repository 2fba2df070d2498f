"""Download labels."""

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.answering.services import disclose_photos
from review.cases.models import ReviewCase
from review.cases.permissions import ADJUDICATE, READ, VIEW_READINGS, has_any, overseers_only
from review.labels import exports


@require_GET
@overseers_only
def export(request: HttpRequest) -> HttpResponseBase:
    """Download the standing labels; the AI's answers are included only for users who may view every reading."""
    form = exports.FORMATS.get(request.GET.get("format", "csv"))
    if form is None:
        raise Http404("No such format.")
    labels = exports.labels_to_export(training_only=request.GET.get("training") == "1")
    require_confirmation(request)
    user = user_of(request)
    with_ai = user.has_perm(VIEW_READINGS)
    if has_any(user, READ, ADJUDICATE):  # the file tells what others answered: its photos are no longer read blind
        still_read = ReviewCase.objects.filter(status__in=ReviewCase.OPEN, image__labels__in=labels.values("pk"))
        disclose_photos(images=still_read.values_list("image_id", flat=True), user=user)
    name = f"labels-{timezone.localdate().isoformat()}.{form.extension}"
    return StreamingHttpResponse(
        form.write(labels, with_ai=with_ai),
        content_type=form.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )
