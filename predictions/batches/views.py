"""Pages of batches: send, watch progress, cancel, resume, send refused files again, fetch results."""

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

from cataract.core.errors import DomainError, RequestRefused
from cataract.core.http.htmx import is_htmx
from cataract.core.http.limits import upload_limits
from cataract.core.http.polling import polling
from cataract.core.http.throttles import spend_upload
from cataract.core.http.users import user_of
from predictions.answering import services as answering_services
from predictions.answering.models import Prediction
from predictions.batches import services as batches_services
from predictions.batches.api import csv_answer
from predictions.batches.forms import BatchForm
from predictions.batches.models import Batch, BatchItem
from predictions.batches.results import (
    ALWAYS_SHOWN,
    PENDING,
    Group,
    count_groups,
    in_group,
    items_with_results,
    progress_of,
    result_of,
    unseen_answers,
)
from predictions.batches.serializers import batch_files
from predictions.batches.uploads import SpoolHandler
from predictions.photos.models import EyeImage
from predictions.results.wording import describe

_TOO_MANY = "At most {max_form_files} photos at a time. Send more as one ZIP archive."
_PENDING = "Waiting for a clinician"
_PAGE_SIZE = 50
_POLLS = 300  # a waiting page polls this often, then stops and says so
_LATEST = 20


View = Callable[..., HttpResponse]


def to_disk(refuse: View) -> Callable[[View], View]:
    """Receive files on disk, with the batch's own limit; the CSRF check, which reads the body, comes after.

    `refuse(request, error, ...)` answers a body that was not read to its end: the form's fields are unknown.
    """

    def decorate(view: View) -> View:
        protected = csrf_protect(view)

        @csrf_exempt
        def receive(request: HttpRequest, **of_address: Any) -> HttpResponse:
            request.upload_handlers = [SpoolHandler(request)]
            if request.method == "POST":
                try:
                    request.POST  # noqa: B018  # reads the body
                except TooManyFilesSent:
                    too_many = RequestRefused("too_many_files", 413, _TOO_MANY.format(**upload_limits()))
                    return refuse(request, too_many, **of_address)
                except DomainError as error:
                    return refuse(request, error, **of_address)
            return protected(request, **of_address)

        return receive

    return decorate


def _form_again(request: HttpRequest, error: DomainError) -> HttpResponse:
    form = BatchForm({}, user=user_of(request))
    form.errors.clear()
    form.add_error(None, error.message)
    return _form_page(request, form, error.status)


def _batch_again(request: HttpRequest, error: DomainError, batch_id: UUID) -> HttpResponse:
    return _batch_answer(request, _find(request, batch_id), retry_error=error.message, status=error.status)


@login_required  # first: authenticate before reading a body of up to MAX_BATCH_BYTES
@permission_required("predictions.add_eyeimage", raise_exception=True)
@to_disk(_form_again)
@require_http_methods(["GET", "HEAD", "POST"])
def batch_list(request: HttpRequest) -> HttpResponse:
    """The form for many photos, and the batches that this person may see."""
    if request.method != "POST":
        return _form_page(request, BatchForm(user=user_of(request)))
    form = BatchForm(request.POST, user=user_of(request))
    if not form.is_valid():
        return _form_page(request, form, 422)
    try:
        spend_upload(request, "batch")
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
    """The progress of a batch and the outcome of its files; refreshes itself for some minutes while the batch runs.

    `?show=` names a group of files (`results.Group`), or `pending`.
    """
    return _batch_answer(request, _find(request, batch_id))


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
@permission_required("predictions.add_eyeimage", raise_exception=True)
@to_disk(_batch_again)
@require_POST
def batch_retry(request: HttpRequest, batch_id: UUID) -> HttpResponse:
    """Send refused files of a batch again."""
    try:
        batches_services.retry_refused(batch=_find(request, batch_id), photos=request.FILES.getlist("photos"))  # type: ignore[arg-type]  # SpoolHandler's
    except DomainError as error:
        return _batch_again(request, error, batch_id)
    return redirect("predictions:batch", batch_id)


@login_required
@require_GET
def batch_csv(request: HttpRequest, batch_id: UUID) -> StreamingHttpResponse:
    """The results as a table to download."""
    return csv_answer(_find(request, batch_id), user_of(request))


def _form_page(request: HttpRequest, form: BatchForm, status: int = 200) -> HttpResponse:
    latest = [(batch, progress_of(batch)) for batch in Batch.objects.visible_to(request.user)[:_LATEST]]
    return render(request, "predictions/batches.html", {"form": form, "batches": latest}, status=status)


def _batch_answer(request: HttpRequest, batch: Batch, *, retry_error: str = "", status: int = 200) -> HttpResponse:
    user, show = user_of(request), request.GET.get("show", "")
    counts, groups, running = progress_of(batch), count_groups(batch), batch.status == Batch.Status.RUNNING
    page = Paginator(in_group(items_with_results(batch), show), _PAGE_SIZE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "batch": batch,
        "counts": counts,
        "finished": batch.total - counts["waiting"],
        "page_obj": page,
        "rows": [_row(item, result_of(item)) for item in page.object_list],
        "show": show if show in groups else "",
        "filters": _filters(groups, show),
        "running": running,
        **polling(request, waits=running, most=_POLLS, quick=30),
        "may_change": user.has_perm("predictions.add_eyeimage"),
        "retry_error": retry_error,
    }
    # Last: an answer that arrived while the page was made may be counted in it.
    answering_services.disclose(predictions=list(unseen_answers(batch, user)), user=user)
    return render(request, f"predictions/{'_batch' if is_htmx(request) else 'batch'}.html", context, status=status)


def _row(item: BatchItem, found: Prediction | None) -> dict[str, Any]:
    return {
        "item": item,
        "prediction": found,
        "words": None if found is None else describe(found),
        "pending": found is not None and found.state == Prediction.State.WAITING,
    }


def _filters(counts: dict[str, int], show: str) -> list[tuple[str, str, int]]:
    """(value, name, number of files) of the filters that the page offers: the usual ones, and those that show any."""
    offered = [group for group in Group if group in ALWAYS_SHOWN or counts[group] or group == show]
    return [*((group.value, group.label, counts[group]) for group in offered), (PENDING, _PENDING, counts[PENDING])]


def _find(request: HttpRequest, batch_id: UUID) -> Batch:
    found: Batch = get_object_or_404(Batch.objects.visible_to(request.user), pk=batch_id)
    return found
