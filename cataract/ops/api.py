"""Health and state of the system over the API."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import has_scope, problems
from cataract.ops import readiness
from cataract.ops.serializers import LiveSerializer, ReadySerializer, SystemSerializer
from cataract.ops.system import system_state


class Live(APIView):
    """Whether this process answers at all."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()  # monitors poll health often

    @extend_schema(summary="Alive", auth=[], responses=LiveSerializer)
    def get(self, request: Request) -> Response:
        return Response({"status": "alive"})


class Ready(APIView):
    """Whether photos are taken now: disk, database, queue and release. `degraded`: only people can answer."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()  # monitors poll health often

    @extend_schema(summary="Ready", auth=[], responses={200: ReadySerializer, 503: ReadySerializer})
    def get(self, request: Request) -> Response:
        found = readiness.checks()
        status = readiness.status(found)
        return Response({"status": status, "checks": found}, status=503 if status == "unavailable" else 200)


_LOOK = has_scope("read", "predictions.view_release")


class System(APIView):
    """Operational figures of the whole system."""

    permission_classes = (_LOOK,)

    @extend_schema(
        summary="System state",
        description="Queues, latency, throughput, memory, workers, disk, versions. The broker's fields are null when "
        "it does not answer within a few seconds.",
        responses={200: SystemSerializer} | problems(401, 403),
    )
    def get(self, request: Request) -> Response:
        return Response(system_state())
