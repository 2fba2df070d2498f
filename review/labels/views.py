"""Download labels."""

from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.answering.services import disclose_photos
from review.cases.models import ReviewCase
from review.cases.permissions import ADJUDICATE, READ, VIEW_READINGS, has_any, overseers_only
from review.labels import exports
from review.labels.models import Label
from review.labels.photo_archive import archive_of

ORIGINALS = "predictions.download_original"


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
    _disclose(user, labels)
    record(Act.EXPORTED, user=user, what="labels", labels=labels.count(), with_ai=with_ai)
    name = f"labels-{timezone.localdate().isoformat()}.{form.extension}"
    return StreamingHttpResponse(
        form.write(labels, with_ai=with_ai),
        content_type=form.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


@require_GET
@login_required
@permission_required((VIEW_READINGS, ORIGINALS), raise_exception=True)
def export_photos(request: HttpRequest) -> HttpResponseBase:
    """Download the labels that may train with their photos, as one ZIP archive that is made while it is sent."""
    require_confirmation(request)
    user = user_of(request)
    labels = exports.labels_to_export(training_only=True)
    _disclose(user, labels)
    record(Act.EXPORTED, user=user, what="labels and photos", labels=labels.count(), with_ai=True)
    name = f"labels-and-photos-{timezone.localdate().isoformat()}.zip"
    return StreamingHttpResponse(
        archive_of(labels, with_ai=True),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def _disclose(user: User, labels: QuerySet[Label]) -> None:
    """The file tells what others answered: whoever reads cases gets no case of its photos to read blind."""
    if has_any(user, READ, ADJUDICATE):
        still_read = ReviewCase.objects.filter(status__in=ReviewCase.OPEN, image__labels__in=labels.values("pk"))
        disclose_photos(images=still_read.values_list("image_id", flat=True), user=user)
