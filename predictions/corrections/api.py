"""The REST API of corrections: those of one photo, and a new one."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from predictions.corrections import services
from predictions.corrections.models import Correction
from predictions.corrections.serializers import CorrectionCreateSerializer, CorrectionSerializer
from predictions.photos.models import EyeImage

TAG = ["corrections"]


class _NewestFirst(NewestFirst):
    ordering = ("-at", "pk")


class Corrections(generics.ListAPIView[Correction]):
    """What was corrected about the photo of a prediction; a new correction when posted."""

    serializer_class = CorrectionSerializer
    pagination_class = _NewestFirst

    def get_permissions(self) -> list[BasePermission]:
        wanted = ("upload", "predictions.add_eyeimage") if self.request.method == "POST" else ("read", "")
        return [has_scope(*wanted)()]

    def get_queryset(self) -> QuerySet[Correction]:
        return Correction.objects.filter(image=self._image(self.kwargs["prediction_id"])).select_related("by")

    @extend_schema(
        tags=TAG,
        summary="Corrections of a photo",
        responses={200: CorrectionSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        tags=TAG,
        operation_id="corrections_create",
        summary="Correct, withdraw or restore a photo",
        description="For senders of the photo's site. The prediction does not change; the photo's patient decides in "
        "which part of the training data it may be.",
        request=CorrectionCreateSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: CorrectionSerializer} | problems(400, 401, 403, 404, 409, 415, 422, 503),
    )
    def post(self, request: Request, prediction_id: UUID) -> Response:
        image = self._image(prediction_id)
        form = CorrectionCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return post_once(
            request,
            self._correct(image, form.validated_data),
            lambda correction: Response(CorrectionSerializer(correction).data, status=201),
        )

    def _correct(self, image: EyeImage, stated: dict[str, Any]) -> Callable[[], Correction]:
        common: dict[str, Any] = {"image": image, "reason": stated["reason"], "user": user_of(self.request)}
        match stated["kind"]:
            case Correction.Kind.WRONG_EYE:
                return lambda: services.correct_eye(eye=stated["eye"], **common)
            case Correction.Kind.WRONG_PATIENT:
                return lambda: services.correct_patient(patient_key=stated["patient"], **common)
            case Correction.Kind.RESTORED:
                return lambda: services.restore_photo(**common)
            case kind:
                return lambda: services.withdraw_photo(kind=kind, **common)

    def _image(self, prediction_id: UUID) -> EyeImage:
        seen = Prediction.objects.visible_to(user_of(self.request))
        prediction: Prediction = get_object_or_404(seen, pk=prediction_id)
        return prediction.image
