"""Pages of imports: send an archive, look at the dry run, import or discard it, and the kept report."""

from collections.abc import Callable
from functools import wraps
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from cataract.core.errors import DomainError
from cataract.core.http.htmx import is_htmx
from cataract.core.http.polling import polling
from cataract.core.http.users import user_of
from predictions.answering.services import disclose_photos
from predictions.batches.views import to_disk
from training.imports import reports, services
from training.imports.forms import ImportForm
from training.imports.models import PhotoImport

VIEW, ADD = "training.view_photoimport", "training.add_photoimport"
_LINES, _LISTED = 100, 50
_POLLS = 600  # a waiting page polls this often, then stops and says so


def _refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    form = ImportForm({}, user=user_of(request))
    form.errors.clear()
    form.add_error(None, error.message)
    return _list_page(request, form, error.status)


def _senders_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Refuse whoever may look but not send before reading a body of up to MAX_BATCH_BYTES."""

    @wraps(view)  # with its exemption from the check of CSRF that reads the body first
    def receive(request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and not user_of(request).has_perm(ADD):
            raise PermissionDenied
        return view(request)

    return receive


@login_required
@permission_required(VIEW, raise_exception=True)
@_senders_only
@to_disk(_refused)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def import_list(request: HttpRequest) -> HttpResponse:
    """The form for an archive of labelled photos, and the imports so far."""
    user = user_of(request)
    if request.method != "POST":
        return _list_page(request, ImportForm(user=user))
    form = ImportForm(request.POST, user=user)
    sent = request.FILES.get("archive")
    if sent is None:
        form.add_error(None, "Choose a ZIP archive.")
    if not form.is_valid() or sent is None:
        return _list_page(request, form, 422)
    try:
        made = services.start_import(user=user, sent=sent, **form.options())  # type: ignore[arg-type]
    except DomainError as error:
        form.add_error(None, error.message)
        return _list_page(request, form, error.status)
    return redirect("training:import", made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def one_import(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """One import: its progress, what the dry run found, what the import did. A POST imports or discards."""
    user = user_of(request)
    if request.method == "POST" and not user.has_perm(ADD):
        raise PermissionDenied
    row = get_object_or_404(PhotoImport.objects.select_related("site", "requested_by"), pk=import_id)
    error = ""
    if request.method == "POST":
        try:
            act = services.discard_import if "discard" in request.POST else services.confirm_import
            act(user=user, photo_import=row)
            return redirect("training:import", row.pk)
        except DomainError as refused:
            error = refused.message
    found = row.report or row.plan
    disclose_photos(images=[UUID(image) for image in found["told"]] if found else [], user=user)
    context = {
        "row": row,
        "error": error,
        "found": found,
        "moved": reports.moved(found) if found else [],
        "groups": reports.groups(found) if found else [],
        "listed": _LISTED,
        "page_obj": Paginator(found["lines"], _LINES).get_page(request.GET.get("page")) if found else None,
        "may_act": user.has_perm(ADD),
        **polling(request, waits=row.status == PhotoImport.Status.WAITING, most=_POLLS, quick=30),
    }
    template = "training/imports/_import.html" if is_htmx(request) else "training/imports/import.html"
    return render(request, template, context, status=409 if error else 200)


def _list_page(request: HttpRequest, form: ImportForm, status: int = 200) -> HttpResponse:
    rows = PhotoImport.objects.select_related("requested_by", "site").defer("plan", "report")
    context = {
        "form": form,
        "page_obj": Paginator(rows, _LISTED).get_page(request.GET.get("page")),
        "may_act": user_of(request).has_perm(ADD),
    }
    return render(request, "training/imports/imports.html", context, status=status)
