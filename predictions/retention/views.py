"""Pages of deletions: ask for one, see the trash, and confirm, cancel, restore or purge."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.errors import DomainError
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.photos.chosen import Chosen, chosen_by
from predictions.retention import services
from predictions.retention.api import ACTS, CONFIRM, DELETE
from predictions.retention.forms import DeleteForm
from predictions.retention.models import Deletion, LegalHold

_PAGE_SIZE = 50
_DONE = {
    "confirm": "Confirmed: the photos are in the trash.",
    "cancel": "The request is cancelled.",
    "restore": "The photos are restored.",
    "purge": "The photos are being purged. Reload this page in a few seconds.",
}


@login_required
@permission_required(DELETE, raise_exception=True)
@require_GET
def deletions(request: HttpRequest) -> HttpResponse:
    """The trash, and every deletion so far, newest first."""
    rows = Deletion.objects.decided_by(user_of(request)).annotate(photos=Count("images"))
    rows = rows.select_related("site", "patient", "requested_by", "confirmed_by", "ended_by")
    page = Paginator(rows.order_by("-requested_at", "pk"), _PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "predictions/deletions.html", {"page_obj": page})


@login_required
@permission_required(DELETE, raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """Say what will be deleted (`?photo=`, any number, or `?patient=`) and ask why; delete when the form is posted."""
    require_confirmation(request)
    chosen = chosen_by(request.GET, user_of(request))
    form = DeleteForm(request.POST or None)
    if form.is_valid():
        try:
            made = _delete(chosen, request, form.cleaned_data["reason"])
        except DomainError as error:
            form.add_error(None, error.message)
        else:
            waits = made.status == Deletion.Status.REQUESTED
            messages.success(request, "Another person must confirm it." if waits else "The photos are in the trash.")
            return redirect("predictions:deletions")
    context = {
        "form": form,
        "chosen": chosen,
        "count": chosen.photos.count(),
        "trash_days": settings.TRASH_DAYS,
        "holds": LegalHold.objects.standing().filter(patient__images__in=chosen.photos).distinct(),
    }
    return render(request, "predictions/delete.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def act(request: HttpRequest, deletion_id: UUID, act: str) -> HttpResponse:
    """Confirm, cancel, restore or purge one deletion."""
    user = user_of(request)
    if not user.has_perm(CONFIRM if act in ("confirm", "purge") else DELETE):
        raise PermissionDenied
    if act in ("confirm", "purge"):
        require_confirmation(request)
    deletion = get_object_or_404(Deletion.objects.decided_by(user), pk=deletion_id)
    try:
        ACTS[act](deletion=deletion, user=user)
        messages.success(request, _DONE[act])
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("predictions:deletions")


def _delete(chosen: Chosen, request: HttpRequest, reason: str) -> Deletion:
    if chosen.is_whole_patient and chosen.patient is not None:
        return services.delete_patient(patient=chosen.patient, reason=reason, user=user_of(request))
    return services.delete_photos(photos=chosen.photos, reason=reason, user=user_of(request))[0]
