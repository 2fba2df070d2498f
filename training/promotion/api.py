"""API views that promote a release, confirm a promotion and roll back."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, has_scope, post_once, problems
from cataract.core.http.step_up import RecentlyConfirmed
from cataract.core.http.users import user_of
from predictions.releases.models import Promotion, Release
from training.promotion import services as promotion_services
from training.promotion.models import PromotionRequest
from training.promotion.serializers import (
    PromoteSerializer,
    PromotionRequestSerializer,
    PromotionSerializer,
    RollbackSerializer,
)

_MAY_PROMOTE = has_scope("admin", "predictions.promote_release")


class Promote(APIView):
    """Make a release the champion if the change-control plan allows it; else 422 with the reasons.

    Where two people promote, the answer is 202 and another admin confirms.
    """

    permission_classes = (_MAY_PROMOTE, RecentlyConfirmed)

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
        return _promote_once(request, promotion_services.promote, release=release, **form.validated_data)


class ConfirmPromotion(APIView):
    """Confirm the promotion that another admin requested."""

    permission_classes = (_MAY_PROMOTE, RecentlyConfirmed)

    @extend_schema(
        summary="Confirm a promotion that another admin requested",
        request=None,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PromotionSerializer} | problems(401, 403, 404, 409, 422),
    )
    def post(self, request: Request, release_id: str) -> Response:
        release = get_object_or_404(Release, pk=release_id)

        def confirm(*, user: User) -> Promotion:
            open_request = promotion_services.open_request(release)
            if open_request is None:
                raise Http404
            return promotion_services.confirm_promotion(user=user, request=open_request)

        return _promote_once(request, confirm)


class Rollback(APIView):
    """Make the previous champion serve again."""

    permission_classes = (_MAY_PROMOTE, RecentlyConfirmed)

    @extend_schema(
        summary="Roll back the last promotion",
        request=RollbackSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PromotionSerializer} | problems(400, 401, 403, 409, 422),
    )
    def post(self, request: Request) -> Response:
        form = RollbackSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return _promote_once(request, promotion_services.rollback, **form.validated_data)


def _promote_once(sent: Request, service: Callable[..., Promotion | PromotionRequest], **values: Any) -> Response:
    def make() -> Promotion | PromotionRequest:
        return service(user=user_of(sent), **values)

    def answer(made: Promotion | PromotionRequest) -> Response:
        if isinstance(made, PromotionRequest):
            return Response(PromotionRequestSerializer(made).data, status=202)
        return Response(PromotionSerializer(made).data, status=201)

    return post_once(sent, make, answer)
