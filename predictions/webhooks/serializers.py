"""Serializers of webhook endpoints and deliveries."""

from typing import Any

from rest_framework import serializers

from predictions.webhooks.models import WebhookDelivery, WebhookEndpoint


class WebhookCreateSerializer(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=500, help_text="https only, and no address inside our network.")
    events = serializers.ListField(child=serializers.ChoiceField(choices=WebhookEndpoint.Event.choices), min_length=1)


class WebhookEndpointSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    events = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = WebhookEndpoint
        fields: tuple[str, ...] = ("id", "url", "events", "active", "created_at")
        read_only_fields = fields


class WebhookCreatedSerializer(WebhookEndpointSerializer):
    """An endpoint with its secret, which is shown only when the endpoint is created."""

    secret = serializers.CharField(source="signing_secret", read_only=True, help_text="Starts with whsec_.")

    class Meta(WebhookEndpointSerializer.Meta):
        fields = (*WebhookEndpointSerializer.Meta.fields, "secret")
        read_only_fields = fields


class WebhookDeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "endpoint",
            "event",
            "payload",
            "status",
            "attempts",
            "response_status",
            "error",
            "created_at",
            "delivered_at",
        )
        read_only_fields = fields
