"""Pages: the list of patients, one patient, and letters to print or to download."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from cataract.core.documents import pdf
from cataract.core.http import keyset
from cataract.core.http.users import user_of
from predictions.patients import services
from predictions.patients.forms import SearchForm
from predictions.patients.letters import LETTERS, Letter, letter_photo
from predictions.patients.overview import Overview
from predictions.patients.trend import trend_of
from predictions.photos.models import EyeImage
from predictions.results.wording import describe

PAGE_SIZE = 25


@login_required
@require_GET
def patient_list(request: HttpRequest) -> HttpResponse:
    """The patients on the photos that the user may see, the one with the newest photo first."""
    form = SearchForm(request.GET)
    last_photos = form.among(EyeImage.objects.visible_to(user_of(request)).in_use().last_of_patients())
    page = keyset.page_of(last_photos, size=PAGE_SIZE, address=request.GET)
    rows = services.show_list(last_photos=page.object_list, user=user_of(request))
    return render(request, "predictions/patients.html", {"page": page, "rows": rows, "form": form})


@login_required
@require_GET
def patient_page(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """One patient: both eyes, the worst one first in words, and every photo by visit."""
    overview = _overview(request, patient_id)
    context = {
        "overview": overview,
        "patient": overview.patient,
        "eyes": [(eye, trend_of(overview, eye)) for eye in overview.eyes],
        "visits": [(visit, [(each, describe(each)) for each in visit.photos]) for visit in overview.visits],
    }
    return render(request, "predictions/patient.html", context)


@login_required
@require_GET
def letter_page(request: HttpRequest, patient_id: UUID, kind: str) -> HttpResponse:
    """A letter as a page made for printing."""
    overview, letter, at = _letter(request, patient_id, kind)
    context = {"document": letter.write(overview, at), "patient": overview.patient, "kind": kind}
    return render(request, "predictions/letter.html", context)


@login_required
@require_GET
def letter_pdf(request: HttpRequest, patient_id: UUID, kind: str) -> HttpResponse:
    """A letter as a PDF of A4 pages. Its file name holds no pseudonym."""
    overview, letter, at = _letter(request, patient_id, kind)
    photos = {str(each.image_id): each.image for each in overview.photos}
    content = pdf.render(
        letter.write(overview, at), footer=settings.INTENDED_USE, photo=lambda image: letter_photo(photos[image])
    )
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{kind}-{str(patient_id)[:8]}-{at:%Y-%m-%d}.pdf"'
    return response


def _letter(request: HttpRequest, patient_id: UUID, kind: str) -> tuple[Overview, Letter, datetime]:
    return _overview(request, patient_id), LETTERS[kind], timezone.localtime()


def _overview(request: HttpRequest, patient_id: UUID) -> Overview:
    """A patient whom the user may see; records that the results were shown. Raises Http404."""
    patients = EyeImage.objects.visible_to(user_of(request)).in_use().patients()
    return services.show_patient(patient=get_object_or_404(patients, pk=patient_id), user=user_of(request))
