"""`GET /metrics` for Prometheus."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from rest_framework.request import Request
from rest_framework.views import APIView

from cataract.core.http.api import has_scope
from cataract.ops.metrics.state import SystemState

_LOOK = has_scope("read", "predictions.view_release")


class Metrics(APIView):
    """What all processes of this host counted, and the state of the whole system, as Prometheus reads it.

    It needs a key with the scope `read`, or a session, of somebody who may see releases. Nothing in it names a patient,
    a photo or a person.
    """

    permission_classes = (_LOOK,)
    throttle_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(SystemState())
        return HttpResponse(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Prometheus accepts formats of its own: what it asks for is never refused."""
        return super().perform_content_negotiation(request, force=True)
