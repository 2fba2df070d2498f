"""The REST API of patients: the list, and one patient with every visit."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import NewestFirst, has_scope, problems
from cataract.core.http.users import user_of
from predictions.patients import services
from predictions.patients.serializers import PatientHistorySerializer, PatientSerializer
from predictions.photos.models import EyeImage


class PatientPages(NewestFirst):
    page_size = 25  # each patient comes with all of its results


class PatientFilter(filters.FilterSet):  # type: ignore[misc]  # the package has no types
    key = filters.CharFilter(
        field_name="patient__key", lookup_expr="istartswith", label="The first characters of the pseudonym."
    )

    class Meta:
        model = EyeImage
        fields: tuple[str, ...] = ()


class Patients(generics.ListAPIView[EyeImage]):
    """The patients on the photos that the caller may see, newest first."""

    serializer_class = PatientSerializer
    permission_classes: Sequence[type[BasePermission]] = (has_scope("read"),)
    filter_backends = (filters.DjangoFilterBackend,)
    filterset_class = PatientFilter
    pagination_class = PatientPages

    def get_queryset(self) -> QuerySet[EyeImage]:
        return EyeImage.objects.visible_to(user_of(self.request)).in_use().last_of_patients()

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        return services.show_list(last_photos=list(page or []), user=user_of(self.request))

    @extend_schema(summary="List of patients", responses={200: PatientSerializer} | problems(401, 403, 404, 422))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OnePatient(APIView):
    """One patient that the caller may see, with every visit."""

    permission_classes = (has_scope("read"),)

    @extend_schema(summary="One patient", responses={200: PatientHistorySerializer} | problems(401, 403, 404))
    def get(self, request: Request, patient_id: UUID) -> Response:
        patients = EyeImage.objects.visible_to(user_of(request)).in_use().patients()
        patient = get_object_or_404(patients, pk=patient_id)
        return Response(PatientHistorySerializer(services.show_patient(patient=patient, user=user_of(request))).data)
