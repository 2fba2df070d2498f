"""The REST API of lineage: what learned from photos, and a training without them."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, has_scope, post_once, problems
from cataract.core.http.users import user_of
from training.lineage import services
from training.lineage.asked import asked_by
from training.lineage.serializers import LineageSerializer, RetrainSerializer, as_json
from training.runs.serializers import TrainingRunSerializer

_ASKED = [
    OpenApiParameter("photo", OpenApiTypes.UUID, many=True, description="Id of a photo; any number of times."),
    OpenApiParameter("patient", OpenApiTypes.UUID, description="Id of a patient instead."),
    OpenApiParameter("reader", OpenApiTypes.INT, description="Id of a reader instead: labels on their readings."),
]


class LineageView(APIView):
    """What learned from photos, from a patient, or from a reader's labels."""

    permission_classes = (has_scope("admin", "training.view_dataset"),)

    @extend_schema(
        summary="What learned from these photos",
        parameters=_ASKED,
        responses={200: LineageSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request) -> Response:
        return Response(as_json(asked_by(request.query_params)))


class Retrain(APIView):
    """Train again without them."""

    permission_classes = (has_scope("admin", "training.add_trainingrun"),)

    @extend_schema(
        summary="Train again without these photos",
        description="From the nearest release that never learned from them. 409 while they may still train.",
        request=RetrainSerializer,
        parameters=[*_ASKED, IDEMPOTENCY_KEY],
        responses={201: TrainingRunSerializer} | problems(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        form = RetrainSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = asked_by(request.query_params)
        return post_once(
            request,
            lambda: services.retrain_without(
                lineage=asked.lineage,
                may_still_train=asked.may_still_train,
                reason=form.validated_data["reason"],
                user=user_of(request),
            ),
            lambda run: Response(TrainingRunSerializer(run).data, status=201),
        )
