"""Pages beside the decision page: the timeline of releases, and the photos behind one figure of a comparison."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from cataract.core.http.users import user_of
from predictions.answering.services import disclose_photos
from predictions.photos.models import EyeImage
from predictions.releases.models import Release
from training.comparison import photos
from training.comparison import services as comparison_services
from training.comparison.forms import SendForm
from training.promotion.decision import shown_comparison
from training.promotion.timeline import moments

VIEW = "training.view_comparison"
SEND = "training.add_trainingrun"
PAGE_SIZE = 48


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def timeline(request: HttpRequest) -> HttpResponse:
    """What happened to every release: who, when, why, with which verdict."""
    page = Paginator(moments(), PAGE_SIZE).get_page(request.GET.get("page"))
    champion = Release.objects.champions().first()
    return render(request, "training/timeline.html", {"page_obj": page, "champion": champion})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def release_photos(request: HttpRequest, release_id: str) -> HttpResponse:
    """The photos of one cell of a confusion matrix or of one subgroup; a POST sends them to blind readers."""
    user = user_of(request)
    if request.method == "POST" and not user.has_perm(SEND):
        raise PermissionDenied
    release = get_object_or_404(Release, pk=release_id)
    comparison, _ = shown_comparison(release)
    found = photos.chosen(comparison.report, request.GET.dict()) if comparison else None
    if comparison is None or found is None:
        raise Http404
    words, rows = found
    visible = EyeImage.objects.visible_to(user).filter(pk__in=[row.image for row in rows])
    ids = {str(pk) for pk in visible.values_list("pk", flat=True)}
    rows = [row for row in rows if row.image in ids]
    form = SendForm(request.POST or None, images=[row.image for row in rows])
    if form.is_valid():
        opened = comparison_services.send_to_readers(
            user=user, release=release, images=form.chosen(), reason=form.cleaned_data["reason"]
        )
        messages.success(request, _sent(opened))
        return redirect(request.get_full_path())
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    images = visible.select_related("patient", "site").in_bulk([UUID(row.image) for row in page.object_list])
    disclose_photos(images=[UUID(row.image) for row in rows], user=user)  # the list was chosen by these answers
    context = {
        "release": release,
        "comparison": comparison,
        "words": words,
        "page_obj": page,
        "images": [(row, images[UUID(row.image)]) for row in page.object_list],
        "total": len(rows),
        "form": form,
        "may_send": user.has_perm(SEND),
    }
    return render(request, "training/release_photos.html", context, status=422 if form.errors else 200)


def _sent(opened: int) -> str:
    if not opened:
        return "Nothing sent: these photos wait for readers already, or have no label to check."
    return f"{opened} case{' is' if opened == 1 else 's are'} waiting for readers, who read them blind."
