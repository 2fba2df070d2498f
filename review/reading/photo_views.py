"""Photos for readers: the photo of a case, other photos of its patient, and the heat map."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from cataract.core.audit.models import Act
from cataract.core.audit.services import record_view
from cataract.core.http.users import user_of
from cataract.ml.release.manifest import ReleaseCorrupt
from review.cases.permissions import find_case
from review.cases.photos import heat_of, photo_of, pupil_of, view_of
from review.reading import access


@require_GET
@login_required
def photo(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The photo of a case, re-encoded without metadata, for users who may see it (`access.may_see_photo`)."""
    case = find_case(pk)
    if not access.may_see_photo(case, user_of(request)):
        raise PermissionDenied
    data = photo_of(case)
    record_view(Act.PHOTO_VIEWED, photo=case.image, user=user_of(request), case=str(case.pk))
    return _jpeg(data)


@require_GET
@login_required
def pupil(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where the pupil is in the photo of a case, for users who may see it: shares of its width, or the middle."""
    case = find_case(pk)
    if not access.may_see_photo(case, user_of(request)):
        raise PermissionDenied
    return JsonResponse(pupil_of(case), headers={"Cache-Control": "private, no-store"})


@require_GET
@login_required
def other_photo(request: HttpRequest, pk: UUID, image: UUID) -> HttpResponse:
    """Another photo of the same patient, for users who may see this case's photo (`access.other_photos`)."""
    case, user = find_case(pk), user_of(request)
    if not access.may_see_photo(case, user):
        raise PermissionDenied
    has_answered = access.own_reading(case, user) is not None
    other = access.other_photos(case, has_answered=has_answered).filter(pk=image).first()
    if other is None:
        raise Http404("No such photo of this patient.")
    data = view_of(other, mirrored=case.mirrored)
    record_view(Act.PHOTO_VIEWED, photo=other, user=user, case=str(case.pk))
    return _jpeg(data)


@require_GET
@login_required
def heat(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where the accurate model looked, for readers who may see the AI's answer (`access.may_see_ai`)."""
    case = find_case(pk)
    if not access.may_see_ai(case, access.own_reading(case, user_of(request))):
        raise PermissionDenied
    try:
        data = heat_of(case)
    except ReleaseCorrupt as error:
        raise Http404("The release that answered is no longer installed.") from error
    record_view(Act.PHOTO_VIEWED, photo=case.image, user=user_of(request), case=str(case.pk), size="heat map")
    return _jpeg(data)


def _jpeg(data: bytes) -> HttpResponse:
    return HttpResponse(data, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})
