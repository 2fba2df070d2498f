"""The evidence for a release as an admin page and as a PDF download."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.http.users import user_of
from predictions.releases.models import Release
from training.comparison.models import ReleaseReview
from training.evidence.export import evidence_pdf
from training.evidence.report import evidence_for


def page(request: HttpRequest, release_id: str) -> HttpResponse:
    """Report and model card as a page."""
    release = _release(request, release_id)
    document = evidence_for(release)
    context = {
        **admin.site.each_context(request),
        "opts": ReleaseReview._meta,
        "title": document.title,
        "document": document,
        "release": release,
    }
    return TemplateResponse(request, "admin/training/evidence.html", context)


def download(request: HttpRequest, release_id: str) -> HttpResponse:
    """Report and model card as a PDF."""
    release = _release(request, release_id)
    record(Act.EXPORTED, about=release, user=user_of(request), what="evidence")
    response = HttpResponse(evidence_pdf(release), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="evidence-{release.pk}.pdf"'
    return response


def _release(request: HttpRequest, release_id: str) -> Release:
    """Raises PermissionDenied without the permission to view comparisons: the report shows labelled photos."""
    if not request.user.has_perm("training.view_comparison"):
        raise PermissionDenied
    return get_object_or_404(Release, pk=release_id)
