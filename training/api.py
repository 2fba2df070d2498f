"""The REST API of training: start and watch runs, promote and roll back releases."""

from collections.abc import Callable
from typing import Any, ClassVar, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.ml.release import ReleaseCorrupt
from predictions.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from predictions.models import Promotion, Release
from training import promotions, services
from training.models import PromotionRequest, TrainingRun
from training.reports import evidence_pdf
from training.serializers import (
    PromoteSerializer,
    PromotionRequestSerializer,
    PromotionSerializer,
    RollbackSerializer,
    StartSerializer,
    TrainingRunSerializer,
)

_MAY_LOOK = has_scope("admin", "training.view_trainingrun")
_MAY_TRAIN = has_scope("admin", "training.add_trainingrun")
_MAY_PROMOTE = has_scope("admin", "predictions.promote_release")


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
            lambda: services.start_training(user=_user(request), **form.request()),
            lambda run: Response(
                TrainingRunSerializer(run).data, status=202, headers={"Location": f"/api/v1/training-runs/{run.pk}"}
            ),
        )


class OneTrainingRun(APIView):
    """One training run."""

    permission_classes = (_MAY_LOOK,)

    @extend_schema(summary="One training run", responses={200: TrainingRunSerializer} | problems(401, 403, 404))
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(TrainingRunSerializer(get_object_or_404(TrainingRun, pk=run_id)).data)


class Promote(APIView):
    """Make a release the champion, where the change-control plan allows it; 422 with the reasons where not.

    Where two people promote, the answer is 202 and another admin confirms.
    """

    permission_classes = (_MAY_PROMOTE,)

    @extend_schema(
        summary="Promote a release",
        request=PromoteSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PromotionSerializer, 202: PromotionRequestSerializer} | problems(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request, release_id: str) -> Response:
        form = PromoteSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        release = get_object_or_404(Release, pk=release_id)
        service = promotions.request_promotion if settings.PROMOTION_NEEDS_TWO else services.promote
        return _promote_once(request, service, release=release, **form.validated_data)


class ConfirmPromotion(APIView):
    """Confirm the promotion that another admin asked for."""

    permission_classes = (_MAY_PROMOTE,)

    @extend_schema(
        summary="Confirm a promotion that another admin asked for",
        request=None,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PromotionSerializer} | problems(401, 403, 404, 409, 422),
    )
    def post(self, request: Request, release_id: str) -> Response:
        release = get_object_or_404(Release, pk=release_id)

        def confirm(*, user: User) -> Promotion:
            wanted = promotions.open_request(release)
            if wanted is None:
                raise Http404
            return promotions.confirm_promotion(user=user, request=wanted)

        return _promote_once(request, confirm)


class Rollback(APIView):
    """Make the champion before this one serve again."""

    permission_classes = (_MAY_PROMOTE,)

    @extend_schema(
        summary="Roll back the last promotion",
        request=RollbackSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PromotionSerializer} | problems(400, 401, 403, 409, 422),
    )
    def post(self, request: Request) -> Response:
        form = RollbackSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return _promote_once(request, services.rollback, **form.validated_data)


class Evidence(APIView):
    """The model card and the STARD-AI report of a release as PDF."""

    permission_classes = (has_scope("admin", "training.view_comparison"),)

    @extend_schema(
        summary="Model card and report of a release, as PDF",
        responses={(200, "application/pdf"): OpenApiTypes.BINARY} | problems(401, 403, 404),
    )
    def get(self, request: Request, release_id: str) -> HttpResponse:
        release = get_object_or_404(Release, pk=release_id)
        response = HttpResponse(evidence_pdf(release), content_type="application/pdf")
        response["Content-Disposition"] = f'attachment; filename="evidence-{release.pk}.pdf"'
        return response


class DamagedRelease(services.PromotionRefused):
    code: ClassVar[str] = "release_damaged"


def _promote_once(sent: Request, service: Callable[..., Promotion | PromotionRequest], **values: Any) -> Response:
    def make() -> Promotion | PromotionRequest:
        try:
            return service(user=_user(sent), **values)
        except ReleaseCorrupt as error:
            raise DamagedRelease(str(error)) from error

    def answer(made: Promotion | PromotionRequest) -> Response:
        if isinstance(made, PromotionRequest):
            return Response(PromotionRequestSerializer(made).data, status=202)
        return Response(PromotionSerializer(made).data, status=201)

    return post_once(sent, make, answer)


def _user(request: Request) -> User:
    return cast(User, request.user)
