"""Download labels."""

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from cataract.core.http.users import user_of
from review.cases.permissions import VIEW_READINGS, overseers_only
from review.labels import exports


@require_GET
@overseers_only
def export(request: HttpRequest) -> HttpResponseBase:
    """Download the standing labels; the AI's answers are included only for users who may view every reading."""
    form = exports.FORMATS.get(request.GET.get("format", "csv"))
    if form is None:
        raise Http404("No such format.")
    labels = exports.labels_to_export(training_only=request.GET.get("training") == "1")
    with_ai = user_of(request).has_perm(VIEW_READINGS)
    name = f"labels-{timezone.localdate().isoformat()}.{form.extension}"
    return StreamingHttpResponse(
        form.write(labels, with_ai=with_ai),
        content_type=form.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )
