"""The API of outcomes: record one, list them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.users import user_of
from review.outcomes import services
from review.outcomes.models import Outcome
from review.outcomes.serializers import OutcomeSerializer

TAG = ["outcomes"]
_RECORD = has_scope("upload", "review.add_outcome")
_READ = has_scope("read", "review.view_outcome")
FILTERS = {"patient": "patient__key", "eye": "eye", "site": "patient__site__name"}


class Outcomes(generics.ListAPIView[Outcome]):
    """The standing outcomes that the caller may see; a new one when it is posted."""

    serializer_class = OutcomeSerializer
    pagination_class = NewestFirst

    def get_permissions(self) -> list[BasePermission]:
        return [_RECORD() if self.request.method == "POST" else _READ()]

    def get_queryset(self) -> QuerySet[Outcome]:
        asked = {FILTERS[name]: value for name in FILTERS if (value := self.request.query_params.get(name))}
        standing = Outcome.objects.standing().visible_to(self.request.user)
        return standing.filter(**asked).select_related("patient__site")

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        services.disclose(outcomes=page or [], user=user_of(self.request))
        return page

    @extend_schema(
        tags=TAG,
        summary="List of outcomes",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR) for name in FILTERS],
        responses={200: OutcomeSerializer} | problems(401, 403),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        tags=TAG,
        operation_id="outcomes_create",
        summary="Record what an eye doctor found",
        description="Another one of the same eye and day corrects the earlier one; nothing is edited. The same one "
        "twice is stored once.",
        parameters=[IDEMPOTENCY_KEY],
        request=OutcomeSerializer,
        responses={201: OutcomeSerializer} | problems(400, 401, 403, 409, 422),
    )
    def post(self, request: Request) -> Response:
        serializer = OutcomeSerializer(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        corrects = serializer.validated_data.get("corrects")

        def make() -> Outcome:
            return services.record_outcome(user=user_of(request), facts=serializer.facts(), corrects=corrects)

        return post_once(request, make, lambda row: Response(self.get_serializer(row).data, status=201))
