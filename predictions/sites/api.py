"""The REST API of sites and devices: what a caller may state when it sends photos."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from cataract.core.http.api import NewestFirst, has_scope, problems
from cataract.core.http.users import user_of
from predictions.sites.models import Device, Site
from predictions.sites.serializers import DeviceSerializer, SiteSerializer

TAG = ["sites"]
_SENDS = has_scope("upload", "predictions.add_eyeimage")


class Sites(generics.ListAPIView[Site]):
    """The sites for which the caller may send photos."""

    serializer_class = SiteSerializer
    permission_classes = (_SENDS,)
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Site]:
        return Site.objects.of(user_of(self.request))

    @extend_schema(
        tags=TAG,
        summary="Sites that I may state",
        description="Those to which the key's user belongs; every site for a user who belongs to none.",
        responses={200: SiteSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class Devices(generics.ListAPIView[Device]):
    """The devices of these sites."""

    serializer_class = DeviceSerializer
    permission_classes = (_SENDS,)
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Device]:
        sites = Site.objects.of(user_of(self.request)).values("pk")
        return Device.objects.filter(site__in=sites).select_related("site").prefetch_related("spellings")

    @extend_schema(
        tags=TAG,
        summary="Devices of my sites",
        description="Photos usually name their device themselves, and a new name makes a new device.",
        responses={200: DeviceSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
