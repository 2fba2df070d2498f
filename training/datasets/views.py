"""The photos of the preview of a run, with thumbnails: a cell of its table, or what is left out and why."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from cataract.core.http.users import user_of
from predictions.answering.services import disclose_photos
from predictions.photos.models import EyeImage
from training.datasets import label_photos
from training.datasets.label_photos import LabelledPhoto

PAGE_SIZE = 48


@require_GET
@never_cache
@login_required
@permission_required("training.view_dataset", raise_exception=True)
def labels(request: HttpRequest) -> HttpResponse:
    """?split=&answer=: photos that a run started now would use; ?left_out=1: those that it leaves out, and why."""
    user = user_of(request)
    page_obj: Page[Any]
    if request.GET.get("left_out"):
        title, found = "Left out of a run", label_photos.left_out()
        shown = {photo.label.image_id for photo in found}
        visible = set(EyeImage.objects.visible_to(user).filter(pk__in=shown).values_list("pk", flat=True))
        page = Paginator([photo for photo in found if photo.label.image_id in visible], PAGE_SIZE)
        page_obj = page.get_page(request.GET.get("page"))
        photos = list(page_obj.object_list)
    else:
        split, answer = request.GET.get("split", ""), request.GET.get("answer", "")
        chosen = label_photos.used(split, answer)
        if chosen is None:
            raise Http404
        title = f"{answer.capitalize()}, {split} split"
        chosen = chosen.filter(image__in=EyeImage.objects.visible_to(user).values("pk"))
        page_obj = Paginator(chosen, PAGE_SIZE).get_page(request.GET.get("page"))
        photos = [LabelledPhoto(label) for label in page_obj.object_list]
    disclose_photos(images=[photo.label.image_id for photo in photos], user=user)
    context = {"title": title, "page_obj": page_obj, "photos": photos, "total": page_obj.paginator.count}
    return render(request, "training/labels.html", context)
