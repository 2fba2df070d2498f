"""Webhook endpoints and their deliveries in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.utils.html import format_html

from cataract.core.admin import ModelAdmin, ReadOnlyAdmin
from cataract.core.errors import BadField
from predictions.webhooks import services as webhooks_services
from predictions.webhooks.models import WebhookDelivery, WebhookEndpoint


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """An endpoint: its owner, address and events."""

    url = forms.URLField(max_length=500, assume_scheme="https")
    events = forms.MultipleChoiceField(choices=WebhookEndpoint.Event.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = WebhookEndpoint
        fields = ("user", "url", "active")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            webhooks_services.check_address(url)
        except BadField as error:
            raise forms.ValidationError(error.message) from None
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ModelAdmin):
    """Webhook endpoints. The secret is shown once, when an endpoint is created."""

    form = EndpointForm
    fields = ("user", "url", "events", "active")
    list_display = ("url", "user", "events", "active", "created_at")
    list_filter = ("active",)
    list_select_related = ("user",)

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        obj.events = form.cleaned_data["events"]
        if not change:
            obj.secret = webhooks_services.new_secret()
            text = format_html(
                "The secret of {}: <code>{}</code> Copy it now: it is not shown again.", obj, obj.signing_secret
            )
            messages.warning(request, text)
        super().save_model(request, obj, form, change)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event", "endpoint", "status", "attempts", "response_status", "error", "created_at", "delivered_at")
    list_filter = ("status", "event")
    list_select_related = ("endpoint",)
    date_hierarchy = "created_at"
    actions = ("redeliver",)

    @admin.action(description="Redeliver the selected messages", permissions=["redeliver"])
    def redeliver(self, request: HttpRequest, chosen: QuerySet[WebhookDelivery]) -> None:
        count = sum(webhooks_services.redeliver(delivery=delivery) for delivery in chosen)
        self.message_user(request, f"{count} message{pluralize(count)} will be sent again.", messages.INFO)

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.change_webhookdelivery")
