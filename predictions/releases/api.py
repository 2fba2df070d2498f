"""API views of releases."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.users import user_of
from predictions.releases import services as releases_services
from predictions.releases.models import Release
from predictions.releases.serializers import RejectSerializer, ReleaseSerializer


class Releases(generics.ListAPIView[Release]):
    """All releases, newest first."""

    serializer_class = ReleaseSerializer
    permission_classes = (has_scope("read", "predictions.view_release"),)
    queryset = Release.objects.all()
    pagination_class = NewestFirst

    @extend_schema(summary="List of releases", responses={200: ReleaseSerializer} | problems(401, 403, 404))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class RejectRelease(APIView):
    """Reject a challenger for good, with the reason."""

    permission_classes = (has_scope("admin", "predictions.promote_release"),)

    @extend_schema(
        summary="Reject a challenger",
        request=RejectSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: ReleaseSerializer} | problems(400, 401, 403, 404, 409),
    )
    def post(self, request: Request, release_id: str) -> Response:
        form = RejectSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        release = get_object_or_404(Release, pk=release_id)
        return post_once(
            request,
            lambda: releases_services.reject_release(
                release=release, user=user_of(request), reason=form.validated_data["reason"]
            ),
            lambda rejected: Response(ReleaseSerializer(rejected).data, status=201),
        )
