"""API views of releases."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from cataract.core.http.api import NewestFirst, has_scope, problems
from predictions.releases.models import Release
from predictions.releases.serializers import ReleaseSerializer


class Releases(generics.ListAPIView[Release]):
    """All releases, newest first."""

    serializer_class = ReleaseSerializer
    permission_classes = (has_scope("read", "predictions.view_release"),)
    queryset = Release.objects.all()
    pagination_class = NewestFirst

    @extend_schema(summary="List of releases", responses={200: ReleaseSerializer} | problems(401, 403, 404))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
