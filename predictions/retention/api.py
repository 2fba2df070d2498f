"""The REST API of deletions and legal holds, for admins."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.step_up import RecentlyConfirmed
from cataract.core.http.users import user_of
from predictions.photos.models import EyeImage
from predictions.retention import services
from predictions.retention.models import Deletion, LegalHold
from predictions.retention.serializers import (
    DeleteSerializer,
    DeletionSerializer,
    HoldSerializer,
    LegalHoldSerializer,
    LiftSerializer,
)
from predictions.sites.models import Patient

DELETE, CONFIRM, HOLD = "predictions.delete_photo", "predictions.confirm_deletion", "predictions.hold_patient"


class _ByRequest(NewestFirst):
    ordering = ("-requested_at", "pk")


class _ByPlacing(NewestFirst):
    ordering = ("-placed_at", "pk")


class Deletions(generics.ListAPIView[Deletion]):
    """List deletions; delete photos of one site, or a patient."""

    serializer_class = DeletionSerializer
    permission_classes = (has_scope("admin", DELETE), RecentlyConfirmed)
    pagination_class = _ByRequest

    def get_queryset(self) -> QuerySet[Deletion]:
        found = Deletion.objects.decided_by(user_of(self.request))
        return found.select_related("site").prefetch_related("images")

    @extend_schema(summary="List of deletions", responses={200: DeletionSerializer} | problems(401, 403))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        summary="Delete photos or a patient",
        description="They go to the trash, or wait for a second person where their site asks for one.",
        request=DeleteSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: DeletionSerializer} | problems(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        form = DeleteSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user, stated = user_of(request), form.validated_data

        def make() -> Deletion:
            if stated["patient"]:
                patient = get_object_or_404(Patient.objects.decided_by(user), pk=stated["patient"])
                return services.delete_patient(patient=patient, reason=stated["reason"], user=user)
            ids = set(stated["images"])
            photos = EyeImage.objects.kept().decided_by(user).filter(pk__in=ids)
            sites = photos.values_list("site", flat=True).distinct()
            if photos.count() != len(ids) or len(sites) != 1:
                raise Http404
            return services.delete_photos(photos=photos, reason=stated["reason"], user=user)[0]

        return post_once(request, make, lambda made: Response(DeletionSerializer(made).data, status=201))


class ActOnDeletion(APIView):
    """Confirm, cancel, restore or purge one deletion: `as_view(act=...)`, one of ACTS."""

    act = ""

    def get_permissions(self) -> list[BasePermission]:
        wanted = CONFIRM if self.act in ("confirm", "purge") else DELETE
        return [has_scope("admin", wanted)(), RecentlyConfirmed()]

    @extend_schema(
        summary="Confirm, cancel, restore or purge a deletion",
        description="`confirm`: as the second person. `cancel`: before it is confirmed. `restore`: out of the trash. "
        "`purge`: for good, without waiting for its date.",
        request=None,
        parameters=[IDEMPOTENCY_KEY],
        responses={200: DeletionSerializer} | problems(401, 403, 404, 409, 422),
    )
    def post(self, request: Request, deletion_id: UUID) -> Response:
        user = user_of(request)
        deletion = get_object_or_404(Deletion.objects.decided_by(user), pk=deletion_id)
        return post_once(
            request,
            lambda: ACTS[self.act](deletion=deletion, user=user),
            lambda made: Response(DeletionSerializer(made).data),
        )


ACTS: dict[str, Callable[..., Deletion]] = {
    "confirm": services.confirm_deletion,
    "cancel": services.cancel_deletion,
    "restore": services.restore_deletion,
    "purge": services.purge_now,
}


class LegalHolds(generics.ListAPIView[LegalHold]):
    """List legal holds; place one."""

    serializer_class = LegalHoldSerializer
    permission_classes = (has_scope("admin", HOLD),)
    pagination_class = _ByPlacing
    queryset = LegalHold.objects.all()

    @extend_schema(summary="List of legal holds", responses={200: LegalHoldSerializer} | problems(401, 403))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        summary="Place a legal hold on a patient",
        request=HoldSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: LegalHoldSerializer} | problems(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        form = HoldSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        patient = get_object_or_404(Patient, pk=form.validated_data["patient"])
        return post_once(
            request,
            lambda: services.place_hold(patient=patient, reason=form.validated_data["reason"], user=user_of(request)),
            lambda made: Response(LegalHoldSerializer(made).data, status=201),
        )


class LiftLegalHold(APIView):
    """Lift a legal hold."""

    permission_classes = (has_scope("admin", HOLD),)

    @extend_schema(
        summary="Lift a legal hold",
        request=LiftSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={200: LegalHoldSerializer} | problems(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request, hold_id: int) -> Response:
        form = LiftSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        hold = get_object_or_404(LegalHold, pk=hold_id)
        return post_once(
            request,
            lambda: services.lift_hold(hold=hold, reason=form.validated_data["reason"], user=user_of(request)),
            lambda made: Response(LegalHoldSerializer(made).data),
        )
