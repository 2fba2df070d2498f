"""The REST API of uploads: send a photo."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from cataract.core.http.api import IDEMPOTENCY_KEY, has_scope, marked, problems
from cataract.core.http.throttles import spend_bytes
from cataract.core.http.users import user_of
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.photos.models import EyeImage
from predictions.photos.uploads import read_photo, refuse_repeated
from predictions.results import examples
from predictions.results.api import ResultList
from predictions.results.serializers import PredictionSerializer
from predictions.uploads.serializers import UploadSerializer, one_photo


class Predictions(ResultList):
    """List the predictions that the caller may see; upload a photo."""

    throttle_scopes: ClassVar = {"POST": "upload"}
    parser_classes = (MultiPartParser, FormParser)

    def get_permissions(self) -> list[BasePermission]:
        wanted = ("upload", "predictions.add_eyeimage") if self.request.method == "POST" else ("read", "")
        return [has_scope(*wanted)()]

    @extend_schema(
        operation_id="predictions_create",
        examples=examples.UPLOAD,
        summary="Send a photo",
        description="Answers in the same request (201), or stores the photo for a worker (202: poll the result later).",
        request={"multipart/form-data": UploadSerializer},
        parameters=[IDEMPOTENCY_KEY],
        responses={201: PredictionSerializer, 202: PredictionSerializer}
        | problems(400, 401, 403, 409, 413, 415, 422, 503),
    )
    def post(self, request: Request) -> Response:
        spend_bytes(request)
        sent = one_photo(request.FILES)
        refuse_repeated(request.data)
        form = UploadSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        stated = form.validated_data
        prediction, replayed = services.upload_once(
            user=user_of(request),
            endpoint="POST /api/v1/predictions",
            key=request.headers.get("Idempotency-Key", ""),
            data=read_photo(sent),
            name=sent.name or "",
            source=EyeImage.Source.API,
            facts=form.facts(),
            mode=stated["mode"],
            send_anyway=stated["send_anyway"],
        )
        services.disclose(predictions=[prediction], user=user_of(request))
        status = 202 if prediction.status == Prediction.Status.QUEUED else 201
        response = Response(PredictionSerializer(prediction).data, status=status)
        response["Location"] = prediction.api_url
        return marked(response, replayed)
