"""API views of live tests: start one, read its report, stop it."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import get_script_prefix
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.users import user_of
from predictions.releases.models import LiveTest
from training.livetests import services
from training.livetests.report import report_to
from training.livetests.serializers import (
    LiveTestReportSerializer,
    LiveTestSerializer,
    StartLiveTestSerializer,
    StopSerializer,
)

_MAY_LOOK = has_scope("admin", "predictions.view_livetest")
_MAY_PROMOTE = has_scope("admin", "predictions.promote_release")


class LatestTests(NewestFirst):
    ordering = ("-started_at", "pk")


class LiveTests(generics.ListAPIView[LiveTest]):
    """The live tests, newest first; a POST starts one."""

    serializer_class = LiveTestSerializer
    pagination_class = LatestTests
    queryset = LiveTest.objects.all()

    def get_permissions(self) -> list[BasePermission]:
        return [_MAY_PROMOTE() if self.request.method == "POST" else _MAY_LOOK()]

    @extend_schema(
        summary="Try a challenger on live photos, in shadow or A/B",
        request=StartLiveTestSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: LiveTestSerializer} | problems(400, 401, 403, 409, 422),
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        form = StartLiveTestSerializer(data=request.data)
        form.is_valid(raise_exception=True)

        def start() -> LiveTest:
            return services.start_live_test(user=user_of(request), **form.validated_data)

        return post_once(
            request,
            start,
            lambda test: Response(
                LiveTestSerializer(test).data,
                status=201,
                headers={"Location": f"{get_script_prefix()}api/v1/live-tests/{test.pk}"},
            ),
        )


class OneLiveTest(APIView):
    """One live test with its report so far."""

    permission_classes = (_MAY_LOOK,)

    @extend_schema(summary="One live test", responses={200: LiveTestReportSerializer} | problems(401, 403, 404))
    def get(self, request: Request, test_id: UUID) -> Response:
        test = get_object_or_404(LiveTest, pk=test_id)
        report = report_to(user_of(request), test)
        return Response(LiveTestReportSerializer(test, context={"report": report}).data)


class StopLiveTest(APIView):
    """End a live test: the champion answers every photo from now on."""

    permission_classes = (_MAY_PROMOTE,)

    @extend_schema(
        summary="Stop a live test",
        request=StopSerializer,
        responses={200: LiveTestSerializer} | problems(400, 401, 403, 404, 422),
    )
    def post(self, request: Request, test_id: UUID) -> Response:
        form = StopSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        test = get_object_or_404(LiveTest, pk=test_id)
        stopped = services.stop_live_test(user=user_of(request), test=test, **form.validated_data)
        return Response(LiveTestSerializer(stopped).data)
