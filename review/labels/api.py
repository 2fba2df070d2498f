"""The nearest confirmed cases of a prediction: what people said of photos that look like it."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import has_scope, problems
from predictions.answering.models import Prediction
from predictions.answering.services import disclose
from predictions.embeddings import similar
from predictions.photos.models import EyeImage
from review.cases.answers import Answer
from review.labels.models import Label

_COUNT = 5


class SimilarCaseSerializer(serializers.Serializer[Any]):
    image = serializers.UUIDField()
    photo = serializers.CharField(help_text="Where its thumbnail is found.")
    similarity = serializers.FloatField(help_text="Cosine of the two embeddings; 1 is the same direction.")
    answer = serializers.ChoiceField(choices=Answer.choices, help_text="What people agreed on.")
    confirmed_by = serializers.ChoiceField(choices=Label.Provenance.choices)


class SimilarSerializer(serializers.Serializer[Any]):
    encoder = serializers.CharField(allow_blank=True, help_text="Hash of the encoder; empty when no model answered.")
    cases = SimilarCaseSerializer(many=True)


class Similar(APIView):
    """Confirmed cases that look like this one, among the photos that the caller may see."""

    permission_classes = (has_scope("read"),)

    @extend_schema(
        summary="Nearest confirmed cases",
        description="Never of the same patient, and never a near-duplicate. What looks alike need not be alike.",
        responses={200: SimilarSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        prediction: Prediction = get_object_or_404(Prediction.objects.visible_to(request.user), pk=prediction_id)
        disclose(predictions=[prediction], user=request.user)  # type: ignore[arg-type]  # it hints at the answer
        encoder = prediction.release.encoder if prediction.release else ""
        labels = Label.objects.standing().filter(image__in=EyeImage.objects.visible_to(request.user).values("pk"))
        confirmed = EyeImage.objects.visible_to(request.user).filter(pk__in=labels.values("image"))
        found = similar.nearest(prediction.image, confirmed, encoder=encoder, count=_COUNT)
        by_image = {label.image_id: label for label in labels.filter(image__in=[image for image, _ in found])}
        return Response({"encoder": encoder, "cases": [_case(by_image[image], value) for image, value in found]})


def _case(label: Label, similarity: float) -> dict[str, Any]:
    return {
        "image": str(label.image_id),
        "photo": f"/photos/{label.image_id}/thumb/",
        "similarity": round(similarity, 4),
        "answer": label.answer,
        "confirmed_by": label.provenance,
    }
