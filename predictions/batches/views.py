"""Pages of batches: send, watch progress, cancel, resume, fetch results."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import TooManyFilesSent
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.core.errors import DomainError
from cataract.core.http.htmx import is_htmx
from cataract.core.http.limits import upload_limits
from cataract.core.http.polling import polling
from cataract.core.http.users import user_of
from predictions.answering import services as answering_services
from predictions.batches import services as batches_services
from predictions.batches.api import csv_answer
from predictions.batches.forms import BatchForm
from predictions.batches.models import Batch
from predictions.batches.results import items_with_results, progress_of, result_of, shown_predictions
from predictions.batches.serializers import batch_files
from predictions.batches.uploads import SpoolHandler
from predictions.photos.models import EyeImage
from predictions.results.wording import describe

_TOO_MANY = "At most {max_form_files} photos at a time. Send more as one ZIP archive."
_PAGE_SIZE = 50
_POLLS = 300  # a waiting page polls this often, then stops and says so
_LATEST = 20


def _to_disk(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Receive files on disk, with the batch's own limit; the CSRF check, which reads the body, comes after."""
    protected = csrf_protect(view)

    @csrf_exempt
    def receive(request: HttpRequest) -> HttpResponse:
        request.upload_handlers = [SpoolHandler(request)]
        if request.method == "POST":
            try:
                request.POST  # noqa: B018  # reads the body
            except TooManyFilesSent:
                return _refused(request, _TOO_MANY.format(**upload_limits()), 413)
            except DomainError as error:
                return _refused(request, error.message, error.status)
        return protected(request)

    return receive


@login_required  # first: authenticate before reading a body of up to MAX_BATCH_BYTES
@permission_required("predictions.add_eyeimage", raise_exception=True)
@_to_disk
@require_http_methods(["GET", "HEAD", "POST"])
def batch_list(request: HttpRequest) -> HttpResponse:
    """The form for many photos, and the batches that this person may see."""
    if request.method != "POST":
        return _form_page(request, BatchForm(user=user_of(request)))
    form = BatchForm(request.POST, user=user_of(request))
    if not form.is_valid():
        return _form_page(request, form, 422)
    try:
        photos, archive, table = batch_files(request.FILES)
        batch, _ = batches_services.accept_batch(
            user=user_of(request),
            source=EyeImage.Source.UPLOAD,
            photos=photos,
            archive=archive,
            table=table,
            default=form.facts(),
            name=form.cleaned_data["name"],
            key=str(form.cleaned_data["key"]),
        )
    except DomainError as error:
        form.add_error(None, error.message)
        for row, lines in list(getattr(error, "errors", {}).items()):
            form.add_error(None, f"{row}: {lines[0]}")
        return _form_page(request, form, error.status)
    return HttpResponseRedirect(reverse("predictions:batch", args=[batch.pk]), status=HTTPStatus.SEE_OTHER)


@login_required
@require_GET
def batch_page(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """The progress of a batch and the outcome of its files; refreshes itself for some minutes while the batch runs."""
    batch = _find(request, batch_id)
    page = Paginator(items_with_results(batch), _PAGE_SIZE).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    answering_services.disclose(predictions=shown_predictions(shown), user=user_of(request))
    counts, running = progress_of(batch), batch.status == Batch.Status.RUNNING
    context: dict[str, Any] = {
        "batch": batch,
        "counts": counts,
        "finished": batch.total - counts["waiting"],
        "page_obj": page,
        "rows": [(item, found, describe(found) if found else None) for item in shown for found in (result_of(item),)],
        "running": running,
        **polling(request, waits=running, most=_POLLS, quick=30),
        "may_change": user_of(request).has_perm("predictions.add_eyeimage"),
    }
    return render(request, f"predictions/{'_batch' if is_htmx(request) else 'batch'}.html", context)


@login_required
@permission_required("predictions.add_eyeimage", raise_exception=True)
@require_POST
def batch_cancel(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Stop a batch; stored photos stay."""
    batches_services.cancel_batch(batch=_find(request, batch_id))
    return redirect("predictions:batch", batch_id)


@login_required
@permission_required("predictions.add_eyeimage", raise_exception=True)
@require_POST
def batch_resume(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Resume a cancelled batch."""
    batches_services.resume_batch(batch=_find(request, batch_id))
    return redirect("predictions:batch", batch_id)


@login_required
@require_GET
def batch_csv(request: HttpRequest, batch_id: UUID) -> StreamingHttpResponse:
    """The results as a table to download."""
    return csv_answer(_find(request, batch_id), user_of(request))


def _form_page(request: HttpRequest, form: BatchForm, status: int = 200) -> HttpResponse:
    latest = [(batch, progress_of(batch)) for batch in Batch.objects.visible_to(request.user)[:_LATEST]]
    return render(request, "predictions/batches.html", {"form": form, "batches": latest}, status=status)


def _refused(request: HttpRequest, message: str, status: int) -> HttpResponse:
    """Refuse a body that was not read to its end: the form's fields are unknown."""
    form = BatchForm({}, user=user_of(request))
    form.errors.clear()
    form.add_error(None, message)
    if not request.user.has_perm("predictions.add_eyeimage"):
        return HttpResponse(message, status=status, content_type="text/plain")
    return _form_page(request, form, status)


def _find(request: HttpRequest, batch_id: UUID) -> Batch:
    found: Batch = get_object_or_404(Batch.objects.visible_to(request.user), pk=batch_id)
    return found
