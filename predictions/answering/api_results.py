"""More about one prediction: where the model looked, and the same result as FHIR."""

from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import has_scope, problems
from cataract.core.http.users import user_of
from predictions.answering import fhir, services
from predictions.answering.explanation import _heat_png
from predictions.answering.models import Prediction

_READ = has_scope("read")


class Png(JSONRenderer):
    """Lets a caller ask for PNG; what is refused is still a problem document."""

    media_type = "image/png"
    format = "png"


class FhirJson(JSONRenderer):
    media_type = "application/fhir+json"
    format = "fhir"


class Explanation(APIView):
    """Where the accurate model looked."""

    permission_classes = (_READ,)
    renderer_classes = (JSONRenderer, Png)
    throttle_scopes: ClassVar = {"GET": "explain"}

    @extend_schema(
        summary="Where the model looked",
        description="The photo as PNG; what did not matter to the accurate model is darkened (occlusion). It shows "
        "what moved the score, not what is ill. 409 while no model has answered.",
        responses={(200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY)} | problems(401, 403, 404, 409),
    )
    def get(self, request: Request, prediction_id: UUID) -> HttpResponse:
        prediction = _find(request, prediction_id)
        response = HttpResponse(_heat_png(prediction), content_type="image/png")
        response["Cache-Control"] = "private, no-store"
        return response


class Fhir(APIView):
    """One result as FHIR R4."""

    permission_classes = (_READ,)
    renderer_classes = (FhirJson, JSONRenderer)

    @extend_schema(
        summary="One result as FHIR R4",
        description="A collection Bundle of DiagnosticReport, Observation and Device. `dataAbsentReason` stands where "
        "the photo could not be judged; the status is `preliminary`: no person has confirmed it.",
        responses={
            (200, "application/fhir+json"): OpenApiResponse(OpenApiTypes.OBJECT),
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT),
        }
        | problems(401, 403, 404),
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        return Response(fhir.bundle(_find(request, prediction_id)))


def _find(request: Request, prediction_id: UUID) -> Prediction:
    prediction = get_object_or_404(Prediction.objects.visible_to(request.user), pk=prediction_id)
    services.disclose(predictions=[prediction], user=user_of(request))
    return prediction
