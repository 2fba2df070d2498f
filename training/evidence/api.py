"""The API view of the evidence for a release."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.http.api import has_scope, problems
from cataract.core.http.users import user_of
from predictions.releases.models import Release
from training.evidence.export import evidence_pdf


class Evidence(APIView):
    """The STARD-AI report and the model card of a release, as PDF."""

    permission_classes = (has_scope("admin", "training.view_comparison"),)

    @extend_schema(
        summary="Model card and report of a release, as PDF",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY} | problems(401, 403, 404),
    )
    def get(self, request: Request, release_id: str) -> HttpResponse:
        release = get_object_or_404(Release, pk=release_id)
        record(Act.EXPORTED, about=release, user=user_of(request), what="evidence")
        response = HttpResponse(evidence_pdf(release), content_type="application/pdf")
        response["Content-Disposition"] = f'attachment; filename="evidence-{release.pk}.pdf"'
        return response
