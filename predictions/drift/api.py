"""API view of drift."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.errors import BadField
from cataract.core.http.api import has_scope, problems
from cataract.core.http.users import user_of
from predictions.drift.serializers import DriftSerializer
from predictions.drift.services import recent_drift, segments_for

_LOOK = has_scope("read", "predictions.view_release")
_MOST_DAYS = 90


class DriftView(APIView):
    """Whether recent photos and answers differ from earlier ones."""

    permission_classes = (_LOOK,)

    @extend_schema(
        summary="Drift",
        description="The last days compared with the ninety before them. Each measure names its sample sizes; below "
        "`minimum` on either side its verdict is `not_enough_data` and its figures are null. `segments` holds what is "
        "watched all the time, with control of false alarms: all photos, and each site and device that the caller may "
        "see.",
        parameters=[OpenApiParameter("days", OpenApiTypes.INT, description="Length of the recent period, 1 to 90.")],
        responses={200: DriftSerializer} | problems(401, 403, 422),
    )
    def get(self, request: Request) -> Response:
        days = request.query_params.get("days", "7")
        if not (days.isascii() and days.isdigit() and len(days) < 4 and 1 <= int(days) <= _MOST_DAYS):
            raise BadField("days", f"Give the days as a number from 1 to {_MOST_DAYS}.")
        found = recent_drift(days=int(days)) | {"segments": segments_for(user_of(request))}
        return Response(DriftSerializer(found).data)
