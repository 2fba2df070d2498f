"""What the API takes and gives about endpoints of other systems, and what was sent to them."""

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
    """With the secret, which is shown this once."""

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
