"""The REST API of consent: change it for one photo or for a whole patient."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, has_scope, post_once, problems
from cataract.core.http.users import user_of
from predictions.answering.models import Prediction
from predictions.consent import services
from predictions.consent.serializers import ConsentSerializer, ConsentStateSerializer
from predictions.photos.models import EyeImage
from predictions.sites.models import Patient

_MAY_CHANGE = has_scope("upload", "predictions.change_consent")
_SCHEMA: dict[str, Any] = {
    "request": ConsentSerializer,
    "parameters": [IDEMPOTENCY_KEY],
    "responses": {200: ConsentStateSerializer} | problems(400, 401, 403, 404, 409, 422),
}


class PhotoConsent(APIView):
    """Give or withdraw the consent to train with the photo of one prediction."""

    permission_classes = (_MAY_CHANGE,)

    @extend_schema(summary="Change the consent of one photo", **_SCHEMA)
    def post(self, request: Request, prediction_id: UUID) -> Response:
        form = ConsentSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = user_of(request)
        photos = EyeImage.objects.kept().decided_by(user)
        prediction = get_object_or_404(Prediction.objects.filter(image__in=photos), pk=prediction_id)
        photo = EyeImage.objects.filter(pk=prediction.image_id)

        def make() -> EyeImage:
            services.change_consent(photos=photo, user=user, **form.validated_data)
            return photo.get()

        return post_once(request, make, _photo_state)


class PatientConsent(APIView):
    """Give or withdraw the consent to train with all photos of one patient, present and future."""

    permission_classes = (_MAY_CHANGE,)

    @extend_schema(summary="Change the consent of one patient", **_SCHEMA)
    def post(self, request: Request, patient_id: UUID) -> Response:
        form = ConsentSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = user_of(request)
        patient = get_object_or_404(Patient.objects.decided_by(user), pk=patient_id)

        def make() -> Patient:
            services.change_consent_of_patient(patient=patient, user=user, **form.validated_data)
            return Patient.objects.get(pk=patient.pk)

        return post_once(request, make, _patient_state)


def _photo_state(photo: EyeImage) -> Response:
    return Response({"may_train": photo.may_train, "photos": int(photo.may_train)})


def _patient_state(patient: Patient) -> Response:
    photos = EyeImage.objects.kept().filter(patient=patient, may_train=True).count()
    return Response({"may_train": patient.consent_withdrawn_at is None, "photos": photos})
