"""The REST API of results: the list, one result, its heat map and its FHIR form."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import DjangoFilterBackend  # type: ignore[import-untyped]
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.audit.models import Act
from cataract.core.audit.services import record, record_view
from cataract.core.http.api import NewestFirst, has_scope, problems
from cataract.core.http.users import user_of
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.news import services as news
from predictions.results import examples, fhir
from predictions.results.explanation import heat_map_png
from predictions.results.filters import PredictionFilter
from predictions.results.serializers import PredictionSerializer


class ResultList(generics.ListAPIView[Prediction]):
    """List the predictions that the caller may see."""

    serializer_class = PredictionSerializer
    permission_classes: Sequence[type[BasePermission]] = (has_scope("read"),)
    filter_backends = (DjangoFilterBackend,)
    filterset_class = PredictionFilter
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Prediction]:
        return Prediction.objects.visible_to(user_of(self.request))

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        services.disclose(predictions=list(page or []), user=user_of(self.request))
        return page

    @extend_schema(
        summary="List of results",
        description="Newest first. To follow final results, ask `?state=final&state=amended&changed_since=` with the "
        "time at which you asked last, minus a minute for clocks that differ; a result may then come twice.",
        responses={200: PredictionSerializer} | problems(401, 403, 404, 422),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OnePrediction(APIView):
    """One prediction that the caller may see."""

    permission_classes = (has_scope("read"),)

    @extend_schema(
        summary="One result",
        examples=examples.ONE,
        responses={200: PredictionSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        return Response(PredictionSerializer(_disclosed(request, prediction_id)).data)


class Png(JSONRenderer):
    """Lets a caller accept PNG; errors remain problem documents."""

    media_type = "image/png"
    format = "png"


class FhirJson(JSONRenderer):
    media_type = "application/fhir+json"
    format = "fhir"


class Explanation(APIView):
    """Where the accurate model looked."""

    permission_classes = (has_scope("read"),)
    renderer_classes = (JSONRenderer, Png)
    throttle_scopes: ClassVar = {"GET": "explain"}

    @extend_schema(
        summary="Where the model looked",
        description="The photo as PNG; parts that did not matter to the accurate model are darkened (occlusion). It "
        "shows what moved the score, not what is diseased. 409 while no model has answered.",
        responses={(200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY)} | problems(401, 403, 404, 409),
    )
    def get(self, request: Request, prediction_id: UUID) -> HttpResponse:
        prediction = _disclosed(request, prediction_id)
        response = HttpResponse(heat_map_png(prediction), content_type="image/png")
        record_view(Act.PHOTO_VIEWED, photo=prediction.image, user=user_of(request), size="heat map")
        response["Cache-Control"] = "private, no-store"
        return response


class Fhir(APIView):
    """One result as FHIR R4."""

    permission_classes = (has_scope("read"),)
    renderer_classes = (FhirJson, JSONRenderer)

    @extend_schema(
        summary="One result as FHIR R4",
        description="A collection Bundle of DiagnosticReport, Observation, Device, Organization and Provenance. The "
        "report is `preliminary` until the result is `final`, and `amended` after a correction. Where clinicians "
        "answered, the AI's own Observation follows theirs; what the AI generated carries the security label AIAST. "
        "`dataAbsentReason` stands where the photo could not be judged.",
        responses={
            (200, "application/fhir+json"): OpenApiResponse(OpenApiTypes.OBJECT),
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT),
        }
        | problems(401, 403, 404),
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        prediction = _disclosed(request, prediction_id)
        record(Act.EXPORTED, about=prediction, user=user_of(request), what="FHIR")
        return Response(fhir.bundle(prediction))


def _disclosed(request: Request, prediction_id: UUID) -> Prediction:
    """A prediction that the caller may see; records that it was shown to them, and is no news any more.

    Raises Http404.
    """
    user = user_of(request)
    prediction: Prediction = get_object_or_404(Prediction.objects.visible_to(user), pk=prediction_id)
    services.disclose(predictions=[prediction], user=user)
    news.mark_seen(user=user, prediction_id=prediction.pk)
    return prediction
