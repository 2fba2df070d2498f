"""API views of webhook endpoints and deliveries."""

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cataract.core.http.api import IDEMPOTENCY_KEY, NewestFirst, has_scope, post_once, problems
from cataract.core.http.users import user_of
from predictions.webhooks import services
from predictions.webhooks.models import WebhookDelivery, WebhookEndpoint
from predictions.webhooks.serializers import (
    WebhookCreatedSerializer,
    WebhookCreateSerializer,
    WebhookDeliverySerializer,
    WebhookEndpointSerializer,
)

TAG = ["webhooks"]
_MAY = has_scope("upload", "predictions.add_webhookendpoint")


class Webhooks(generics.ListAPIView[WebhookEndpoint]):
    """The caller's endpoints; a new one when posted."""

    serializer_class = WebhookEndpointSerializer
    permission_classes = (_MAY,)
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return _own(self.request)

    @extend_schema(
        tags=TAG,
        summary="My endpoints",
        responses={200: WebhookEndpointSerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        tags=TAG,
        operation_id="webhooks_create",
        summary="Add an endpoint",
        description="The secret in the answer is shown once, and again only to a retry with the same `Idempotency-Key` "
        "and body. It starts with `whsec_` and signs every message by Standard Webhooks (standardwebhooks.com), which "
        "has libraries in many languages: the headers are `webhook-id`, `webhook-timestamp` (unix seconds) and "
        "`webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`).",
        request=WebhookCreateSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: WebhookCreatedSerializer} | problems(400, 401, 403, 409, 415, 422),
    )
    def post(self, request: Request) -> Response:
        form = WebhookCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return post_once(
            request,
            lambda: services.add_endpoint(user=user_of(request), **form.validated_data),
            lambda endpoint: Response(WebhookCreatedSerializer(endpoint).data, status=201),
        )


class OneWebhook(APIView):
    """One endpoint of the caller."""

    permission_classes = (_MAY,)

    @extend_schema(
        tags=TAG,
        summary="Delete an endpoint",
        description="Messages that are still waiting are deleted with it.",
        responses={204: None} | problems(401, 403, 404),
    )
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        get_object_or_404(_own(request), pk=endpoint_id).delete()
        return Response(status=204)


class Deliveries(generics.ListAPIView[WebhookDelivery]):
    """The messages to the caller's endpoints, newest first."""

    serializer_class = WebhookDeliverySerializer
    permission_classes = (_MAY,)
    pagination_class = NewestFirst

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        return WebhookDelivery.objects.filter(endpoint__in=_own(self.request))

    @extend_schema(
        tags=TAG,
        summary="Deliveries",
        responses={200: WebhookDeliverySerializer} | problems(401, 403, 404),
    )
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().get(request, *args, **kwargs)


class Redeliver(APIView):
    """Send one message again."""

    permission_classes = (_MAY,)

    @extend_schema(
        tags=TAG,
        summary="Send a message again",
        request=None,
        responses={202: WebhookDeliverySerializer} | problems(401, 403, 404),
    )
    def post(self, request: Request, delivery_id: UUID) -> Response:
        delivery = get_object_or_404(WebhookDelivery, endpoint__in=_own(request), pk=delivery_id)
        services.redeliver(delivery=delivery)
        delivery.refresh_from_db()
        return Response(WebhookDeliverySerializer(delivery).data, status=202)


def _own(request: Request) -> QuerySet[WebhookEndpoint]:
    return WebhookEndpoint.objects.filter(user=user_of(request))
