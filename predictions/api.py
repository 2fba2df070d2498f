"""The REST API of this app. Views find through the user's queryset, check the input, and call one service."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db import DatabaseError, connection, models
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import ResolverMatch
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from predictions import examples, idempotency, registry, services
from predictions.access import visible_predictions
from predictions.models import ApiToken, EyeImage, Prediction, Release
from predictions.problems import CONTENT_TYPE
from predictions.serializers import (
    LiveSerializer,
    PredictionSerializer,
    ProblemSerializer,
    ReadySerializer,
    ReleaseSerializer,
    UploadSerializer,
    one_photo,
)
from predictions.uploads import read_photo, refuse_repeated

Row = TypeVar("Row", bound=models.Model)


def has_scope(scope: str, permission: str = "") -> type[BasePermission]:
    """A permission class: the user has `permission`, and a key, if one is used, has `scope`."""

    class HasScope(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            user = request.user
            if not user or not user.is_authenticated or (permission and not user.has_perm(permission)):
                return False
            return not isinstance(request.auth, ApiToken) or scope in request.auth.scopes

    return HasScope


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    location=OpenApiParameter.HEADER,
    description="The same key and body within 24 hours count once: what the first request made is answered, as it is "
    "now, with the header `Idempotency-Replayed: true`. With another body 422, while the first still runs 409; after "
    "a refusal the key is free again.",
)


def post_once(request: Request, make: Callable[[], Row], answer: Callable[[Row], Response]) -> Response:
    """`answer` to the row that `make` makes: at a second request with the same Idempotency-Key and body, to the first.

    `make` only writes rows (it runs in a transaction). Raises what it raises, IdempotencyKeyReused, RequestRunning.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return answer(make())
    body = json.dumps([request.path, request.data], sort_keys=True).encode()
    claim = idempotency.claim_key(
        user=_user(request),
        endpoint=f"POST {cast(ResolverMatch, request.resolver_match).view_name}",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
    )
    row, replayed = idempotency.make_once(claim, make)
    return marked(answer(row), replayed)


def marked(response: Response, replayed: bool) -> Response:
    """The response, which says so when it answers an earlier request."""
    if replayed:
        response["Idempotency-Replayed"] = "true"
    return response


def problems(*statuses: int) -> dict[Any, Any]:
    """The schema of refusals with these statuses, and of 429, which every caller may get."""
    return {(status, CONTENT_TYPE): OpenApiResponse(ProblemSerializer) for status in (*statuses, 429)}


class PredictionFilter(filters.FilterSet):  # type: ignore[misc]  # the package has no types
    patient = filters.CharFilter(field_name="image__patient_key")
    eye = filters.ChoiceFilter(field_name="image__eye", choices=[("OD", "OD"), ("OS", "OS")])
    status = filters.ChoiceFilter(choices=Prediction.Status.choices)
    decision = filters.ChoiceFilter(choices=Prediction.Decision.choices)
    needs_review = filters.BooleanFilter()
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Prediction
        fields: tuple[str, ...] = ()


class NewestFirst(CursorPagination):
    """Pages that stay right while new rows arrive."""

    ordering = ("-created_at", "pk")


class Predictions(generics.ListAPIView[Prediction]):
    """The predictions that the caller may see; a new one for each photo that is posted."""

    serializer_class = PredictionSerializer
    throttle_scopes: ClassVar = {"POST": "upload"}
    parser_classes = (MultiPartParser, FormParser)
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = PredictionFilter
    pagination_class = NewestFirst

    def get_permissions(self) -> list[BasePermission]:
        wanted = ("upload", "predictions.add_eyeimage") if self.request.method == "POST" else ("read", "")
        return [has_scope(*wanted)()]

    def get_queryset(self) -> QuerySet[Prediction]:
        return visible_predictions(_user(self.request))

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        services.disclose(predictions=list(page or []), user=_user(self.request))
        return page

    @extend_schema(summary="List of results", responses={200: PredictionSerializer} | problems(401, 403, 404, 422))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="predictions_create",
        examples=examples.UPLOAD,
        summary="Send a photo",
        description="Answers in the same request (201), or stores the photo for a worker (202: ask again later).",
        request={"multipart/form-data": UploadSerializer},
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PredictionSerializer, 202: PredictionSerializer}
        | problems(400, 401, 403, 409, 413, 415, 422, 503),
    )
    def post(self, request: Request) -> Response:
        sent = one_photo(request.FILES)
        refuse_repeated(request.data)
        form = UploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        facts = dict(form.validated_data)
        facts.pop("photo")
        prediction, replayed = services.upload_once(
            user=_user(request),
            endpoint="POST /api/v1/predictions",
            key=request.headers.get("Idempotency-Key", ""),
            data=read_photo(sent),
            name=sent.name or "",
            source=EyeImage.Source.API,
            patient_key=facts.pop("patient"),
            **facts,
        )
        services.disclose(predictions=[prediction], user=_user(request))
        status = 202 if prediction.status == Prediction.Status.QUEUED else 201
        response = Response(PredictionSerializer(prediction).data, status=status)
        response["Location"] = f"/api/v1/predictions/{prediction.pk}"
        return marked(response, replayed)


class OnePrediction(APIView):
    """One prediction that the caller may see."""

    permission_classes = (has_scope("read"),)

    @extend_schema(
        summary="One result", examples=examples.ONE, responses={200: PredictionSerializer} | problems(401, 403, 404)
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        prediction = get_object_or_404(visible_predictions(_user(request)), pk=prediction_id)
        services.disclose(predictions=[prediction], user=_user(request))
        return Response(PredictionSerializer(prediction).data)


class Releases(generics.ListAPIView[Release]):
    """All releases, newest first."""

    serializer_class = ReleaseSerializer
    permission_classes = (has_scope("read", "predictions.view_release"),)
    queryset = Release.objects.all()
    pagination_class = NewestFirst

    @extend_schema(summary="List of releases", responses={200: ReleaseSerializer} | problems(401, 403, 404))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class Live(APIView):
    """Whether this process answers at all."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()  # whoever watches the health asks often

    @extend_schema(summary="Alive", auth=[], responses=LiveSerializer)
    def get(self, request: Request) -> Response:
        return Response({"status": "alive"})


class Ready(APIView):
    """Whether this process can take photos. `degraded`: it stores them, and only people can answer."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()  # whoever watches the health asks often

    @extend_schema(summary="Ready", auth=[], responses={200: ReadySerializer, 503: ReadySerializer})
    def get(self, request: Request) -> Response:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            serving = registry.champion()
        except DatabaseError:
            return Response({"status": "unavailable", "checks": {"database": "does not answer"}}, status=503)
        checks = {"database": "ok", "release": "none serves" if serving is None else "ok"}
        return Response({"status": "degraded" if serving is None else "ready", "checks": checks})


def _user(request: Request) -> User:
    return cast(User, request.user)
