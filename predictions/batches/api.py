"""API views of batches: send, progress, results, cancel and resume."""

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import MultiPartParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, marked, problems
from cataract.core.http.limits import with_limits
from cataract.core.http.throttles import spend_bytes
from cataract.core.http.users import user_of
from predictions.answering import services as answering_services
from predictions.batches import services as batches_services
from predictions.batches.models import Batch, BatchItem
from predictions.batches.results import items_with_results, results_csv, shown_predictions
from predictions.batches.serializers import BatchItemSerializer, BatchSerializer, BatchUploadSerializer, batch_files
from predictions.batches.uploads import SpoolHandler
from predictions.photos.models import EyeImage

TAG = ["batches"]
_UPLOAD = has_scope("upload", "predictions.add_eyeimage")
_READ = has_scope("read")


class Batches(generics.ListAPIView[Batch]):
    """The batches that the caller may see; a new one when photos are posted."""

    serializer_class = BatchSerializer
    throttle_scopes: ClassVar = {"POST": "batch"}
    parser_classes = (MultiPartParser,)
    pagination_class = NewestFirst

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        request.upload_handlers = [SpoolHandler(request)]  # to disk, with a limit for all files together
        return super().initialize_request(request, *args, **kwargs)

    def get_permissions(self) -> list[BasePermission]:
        return [_UPLOAD() if self.request.method == "POST" else _READ()]

    def get_queryset(self) -> QuerySet[Batch]:
        return Batch.objects.visible_to(self.request.user)

    @extend_schema(tags=TAG, summary="List of batches", responses={200: BatchSerializer} | problems(401, 403))
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        tags=TAG,
        operation_id="batches_create",
        summary="Send many photos",
        description=with_limits(
            "Up to {max_form_files} files in `photos`, or one ZIP in `archive`; a worker processes them. Nothing is "
            "stored twice: sending the same batch again makes no new cases."
        ),
        request={"multipart/form-data": BatchUploadSerializer},
        parameters=[IDEMPOTENCY_KEY],
        responses={202: BatchSerializer} | problems(400, 401, 403, 409, 413, 415, 422, 503),
    )
    def post(self, request: Request) -> Response:
        spend_bytes(request)
        photos, archive, table = batch_files(request.FILES)
        form = BatchUploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        batch, replayed = batches_services.accept_batch(
            user=user_of(request),
            source=EyeImage.Source.API,
            photos=photos,
            archive=archive,
            table=table,
            default=form.facts(),
            name=form.validated_data["name"],
            mode=form.validated_data["mode"],
            key=request.headers.get("Idempotency-Key", ""),
        )
        response = Response(BatchSerializer(batch).data, status=202)
        response["Location"] = reverse("api-batch", args=[batch.pk])
        return marked(response, replayed)


class OneBatch(APIView):
    """The progress of a batch."""

    permission_classes = (_READ,)

    @extend_schema(tags=TAG, summary="Progress of a batch", responses={200: BatchSerializer} | problems(401, 403, 404))
    def get(self, request: Request, batch_id: UUID) -> Response:
        return Response(BatchSerializer(_find(request, batch_id)).data)


class CancelBatch(APIView):
    """Stop a batch."""

    permission_classes = (_UPLOAD,)

    @extend_schema(
        tags=TAG,
        summary="Cancel a batch",
        description="Stored photos stay. A batch that is done or cancelled does not change.",
        request=None,
        responses={200: BatchSerializer} | problems(401, 403, 404),
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        batch = _find(request, batch_id)
        batches_services.cancel_batch(batch=batch)
        return Response(BatchSerializer(_find(request, batch_id)).data)


class ResumeBatch(APIView):
    """Resume a cancelled batch."""

    permission_classes = (_UPLOAD,)

    @extend_schema(
        tags=TAG,
        summary="Resume a cancelled batch",
        description="A batch that is done or running does not change.",
        request=None,
        responses={200: BatchSerializer} | problems(401, 403, 404),
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        batch = _find(request, batch_id)
        batches_services.resume_batch(batch=batch)
        return Response(BatchSerializer(_find(request, batch_id)).data)


class InOrder(CursorPagination):
    """The files of a batch as they were sent."""

    ordering = "position"
    page_size = 100


class BatchResults(generics.ListAPIView[BatchItem]):
    """The outcome of each file."""

    serializer_class = BatchItemSerializer
    permission_classes = (_READ,)
    pagination_class = InOrder

    def get_queryset(self) -> QuerySet[BatchItem]:
        return items_with_results(_find(self.request, self.kwargs["batch_id"]))

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        answering_services.disclose(predictions=shown_predictions(page or []), user=user_of(self.request))
        return page

    @extend_schema(
        tags=TAG,
        summary="Results of a batch",
        responses={200: BatchItemSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class BatchResultsCsv(APIView):
    """The outcome of each file, as CSV."""

    permission_classes = (_READ,)

    @extend_schema(
        tags=TAG,
        summary="Results of a batch as CSV",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR)} | problems(401, 403, 404),
    )
    def get(self, request: Request, batch_id: UUID) -> StreamingHttpResponse:
        return csv_answer(_find(request, batch_id), user_of(request))


def csv_answer(batch: Batch, user: User) -> StreamingHttpResponse:
    """Stream the results as a file; records that the caller has seen the answers in it."""

    record(Act.EXPORTED, about=batch, user=user, what="results of a batch")

    def lines() -> Iterator[str]:
        return results_csv(batch, lambda shown: answering_services.disclose(predictions=shown, user=user))

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="batch-{batch.pk}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


def _find(request: Request, batch_id: UUID) -> Batch:
    found: Batch = get_object_or_404(Batch.objects.visible_to(request.user), pk=batch_id)
    return found
