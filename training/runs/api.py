"""The REST API of training runs: start and watch them."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.users import user_of
from training.runs import services as runs_services
from training.runs.models import TrainingRun
from training.runs.serializers import StartSerializer, TrainingRunSerializer

_MAY_LOOK = has_scope("admin", "training.view_trainingrun")
_MAY_TRAIN = has_scope("admin", "training.add_trainingrun")


class TrainingRuns(generics.ListAPIView[TrainingRun]):
    """The training runs, newest first; a new one when posted."""

    serializer_class = TrainingRunSerializer
    pagination_class = NewestFirst
    queryset = TrainingRun.objects.select_related("requested_by", "firing")

    def get_permissions(self) -> list[BasePermission]:
        return [_MAY_TRAIN() if self.request.method == "POST" else _MAY_LOOK()]

    @extend_schema(
        summary="Start a training run",
        request=StartSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={202: TrainingRunSerializer} | problems(400, 401, 403, 409, 422),
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        form = StartSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return post_once(
            request,
            lambda: runs_services.start_training(user=user_of(request), **form.request()),
            lambda run: Response(
                TrainingRunSerializer(run).data,
                status=202,
                headers={"Location": reverse("api-training-run", args=[run.pk])},
            ),
        )


class OneTrainingRun(APIView):
    """One training run."""

    permission_classes = (_MAY_LOOK,)

    @extend_schema(summary="One training run", responses={200: TrainingRunSerializer} | problems(401, 403, 404))
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(TrainingRunSerializer(get_object_or_404(TrainingRun, pk=run_id)).data)
