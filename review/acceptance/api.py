"""API view of acceptance."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import has_scope, problems
from cataract.core.http.users import user_of
from review.acceptance import selectors
from review.acceptance.serializers import AcceptanceSerializer


class AcceptanceView(APIView):
    """Where the AI may answer alone, and how far the other sites are."""

    permission_classes = (has_scope("read", "predictions.view_acceptance"),)

    @extend_schema(
        summary="Acceptance of automatic answers",
        description="Each side of the releases that answer now, at the caller's sites: accepted or not, and what is "
        "missing. Counted every two minutes.",
        responses={200: AcceptanceSerializer} | problems(401, 403),
    )
    def get(self, request: Request) -> Response:
        sides = selectors.sides_at(selectors.sites_of(user_of(request)))
        return Response(AcceptanceSerializer({"auto_answers": settings.AUTO_ANSWERS, "sides": sides}).data)
