"""A reader's own pages: what became of the cases they read, and their weekly quality notes. Nobody else sees them."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from cataract.core.audit.models import Act
from cataract.core.audit.services import record_view
from cataract.core.http import keyset
from cataract.core.http.users import user_of
from predictions.answering.answers import Answer
from predictions.photos.derivatives import derivative_of
from review.cases.permissions import readers_only
from review.feedback import selectors, services
from review.feedback.models import QualityNote

PAGE_SIZE = 50
_NOTES = 12


@require_GET
@readers_only
def own_cases(request: HttpRequest) -> HttpResponse:
    """The resolved cases that this reader read, newest first, with their answer and the final result; and the notes."""
    reader = user_of(request)
    readings = selectors.resolved_readings(reader).select_related("case__image__patient", "case__prediction")
    if request.GET.get("show") == "different":
        readings = readings.exclude(result=selectors.OWN_ANSWER)  # type: ignore[misc]  # an annotation
    page = keyset.page_of(readings, size=PAGE_SIZE, address=request.GET, at="blind_at")
    services.show_results(readings=page.object_list, reader=reader)
    context = {
        "page": page,
        "labels": dict(Answer.choices),
        "notes": list(QualityNote.objects.filter(reader=reader)[:_NOTES]),
        "show": request.GET.get("show", ""),
    }
    return render(request, "review/own_cases.html", context)


@require_GET
@readers_only
def own_thumbnail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The small picture of a case that this reader read, as the case showed it."""
    reading = get_object_or_404(selectors.resolved_readings(user_of(request)).select_related("case__image"), case=pk)
    try:
        data = derivative_of(reading.case.image, "thumb")
    except FileNotFoundError as error:
        raise Http404("The file of this photo is missing.") from error
    record_view(Act.PHOTO_VIEWED, photo=reading.case.image, user=user_of(request), size="thumb")
    return HttpResponse(data, content_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@require_GET
@readers_only
def own_note(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One quality note of this reader."""
    note = get_object_or_404(QualityNote, pk=pk, reader=user_of(request))
    services.mark_seen(note=note)
    context = {"note": note, "figures": selectors.figures_of(note), "weeks": selectors.EARLIER}
    return render(request, "review/quality_note.html", context)
