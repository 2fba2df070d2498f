"""The REST API of results: the list, one result, its heat map and its FHIR form."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import NewestFirst, has_scope, problems
from cataract.core.http.users import user_of
from predictions.answering import services
from predictions.answering.models import Prediction, PredictionQuerySet
from predictions.photos.models import EyeImage
from predictions.results import examples, fhir
from predictions.results.explanation import heat_map_png
from predictions.results.serializers import PredictionSerializer


class PredictionFilter(filters.FilterSet):  # type: ignore[misc]  # the package has no types
    patient = filters.CharFilter(field_name="image__patient__key")
    eye = filters.ChoiceFilter(field_name="image__eye", choices=[(eye, eye) for eye in EyeImage.Eye.known()])
    status = filters.ChoiceFilter(choices=Prediction.Status.choices)
    decision = filters.ChoiceFilter(choices=Prediction.Decision.choices)
    state = filters.MultipleChoiceFilter(choices=Prediction.State.choices, method="in_state")
    changed_since = filters.IsoDateTimeFilter(method="since_change")
    needs_review = filters.BooleanFilter()
    withdrawn = filters.BooleanFilter(field_name="image__withdrawn_at", lookup_expr="isnull", exclude=True)
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Prediction
        fields: tuple[str, ...] = ()

    def filter_queryset(self, queryset: PredictionQuerySet) -> QuerySet[Prediction]:
        """Withdrawn photos are listed when asked for, and for whoever follows what has changed."""
        asked = self.form.cleaned_data
        hidden = asked.get("withdrawn") is None and not asked.get("changed_since")
        found: QuerySet[Prediction] = super().filter_queryset(queryset.in_use() if hidden else queryset)
        return found

    def in_state(self, rows: PredictionQuerySet, _name: str, states: list[str]) -> PredictionQuerySet:
        return rows.in_state(*states) if states else rows

    def since_change(self, rows: PredictionQuerySet, _name: str, moment: datetime) -> PredictionQuerySet:
        return rows.changed_since(moment)


class ResultList(generics.ListAPIView[Prediction]):
    """List the predictions that the caller may see."""

    serializer_class = PredictionSerializer
    permission_classes: Sequence[type[BasePermission]] = (has_scope("read"),)
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = PredictionFilter
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[Prediction]:
        return Prediction.objects.visible_to(user_of(self.request))

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        services.disclose(predictions=list(page or []), user=user_of(self.request))
        return page

    @extend_schema(summary="List of results", responses={200: PredictionSerializer} | problems(401, 403, 404, 422))
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
        response["Cache-Control"] = "private, no-store"
        return response


class Fhir(APIView):
    """One result as FHIR R4."""

    permission_classes = (has_scope("read"),)
    renderer_classes = (FhirJson, JSONRenderer)

    @extend_schema(
        summary="One result as FHIR R4",
        description="A collection Bundle of DiagnosticReport, Observation and Device. `dataAbsentReason` stands where "
        "the photo could not be judged; the status is `preliminary`: no clinician has confirmed it.",
        responses={
            (200, "application/fhir+json"): OpenApiResponse(OpenApiTypes.OBJECT),
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT),
        }
        | problems(401, 403, 404),
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        return Response(fhir.bundle(_disclosed(request, prediction_id)))


def _disclosed(request: Request, prediction_id: UUID) -> Prediction:
    """A prediction that the caller may see; records that it was shown to them. Raises Http404."""
    prediction: Prediction = get_object_or_404(Prediction.objects.visible_to(user_of(request)), pk=prediction_id)
    services.disclose(predictions=[prediction], user=user_of(request))
    return prediction
