"""How the system does, and whether photos and answers have drifted."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from predictions.api import has_scope, problems
from predictions.drift import recent_drift
from predictions.errors import BadField
from predictions.serializers import DriftSerializer, SystemSerializer
from predictions.state import system_state

_LOOK = has_scope("read", "predictions.view_release")
_MOST_DAYS = 90


class System(APIView):
    """How the system does."""

    permission_classes = (_LOOK,)

    @extend_schema(
        summary="How the system does",
        description="Queues, latency, throughput, memory, workers, disk, versions. What the broker knows is null when "
        "it does not answer within some seconds.",
        responses={200: SystemSerializer} | problems(401, 403),
    )
    def get(self, request: Request) -> Response:
        return Response(system_state())


class DriftView(APIView):
    """Whether recent photos and answers differ from earlier ones."""

    permission_classes = (_LOOK,)

    @extend_schema(
        summary="Drift",
        description="The last days against the ninety before them. Each measure names its sample sizes; below "
        "`minimum` on either side its verdict is `not_enough_data` and its figures are null.",
        parameters=[OpenApiParameter("days", OpenApiTypes.INT, description="Length of the recent period, 1 to 90.")],
        responses={200: DriftSerializer} | problems(401, 403, 422),
    )
    def get(self, request: Request) -> Response:
        days = request.query_params.get("days", "7")
        if not (days.isascii() and days.isdigit() and len(days) < 4 and 1 <= int(days) <= _MOST_DAYS):
            raise BadField("days", f"Give the days as a number from 1 to {_MOST_DAYS}.")
        return Response(DriftSerializer(recent_drift(days=int(days))).data)
