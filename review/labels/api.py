"""Confirmed cases that look like the photo of a prediction."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import has_scope, problems
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from predictions.answering.services import disclose
from predictions.embeddings import similar
from predictions.photos.models import EyeImage
from review.labels.models import Label
from review.labels.serializers import SimilarSerializer

COUNT = 5
MAX_CANDIDATES = 1_000  # the newest confirmed photos; 512 numbers each are 2 MB


class Similar(APIView):
    """Confirmed cases that look like this one, among the photos the caller may see."""

    permission_classes = (has_scope("read"),)

    @extend_schema(
        summary="Nearest confirmed cases",
        description="Never the same patient or a near-duplicate. Similar-looking photos can have different diagnoses.",
        responses={200: SimilarSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        prediction: Prediction = get_object_or_404(Prediction.objects.visible_to(request.user), pk=prediction_id)
        disclose(predictions=[prediction], user=user_of(request))  # the list hints at the AI's answer
        encoder = prediction.release.encoder if prediction.release else ""
        labels = Label.objects.best()
        confirmed = labels.filter(image__in=EyeImage.objects.visible_to(request.user).in_use().values("pk"))
        newest = list(confirmed.order_by("-created_at", "-pk").values_list("image_id", flat=True)[:MAX_CANDIDATES])
        nearest = similar.nearest(prediction.image, newest, encoder=encoder, count=COUNT)
        by_image = {label.image_id: label for label in labels.filter(image__in=[image for image, _ in nearest])}
        return Response({"encoder": encoder, "cases": [_case(by_image[image], value) for image, value in nearest]})


def _case(label: Label, similarity: float) -> dict[str, Any]:
    return {
        "image": str(label.image_id),
        "photo": reverse("predictions:photo", args=[label.image_id, "thumb"]),
        "similarity": round(similarity, 4),
        "answer": label.answer,
        "confirmed_by": label.provenance,
    }
