"""Photos, predictions and releases in the admin, to look at; and keys, to make. Records are not edited here."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from predictions import services, webhooks
from predictions.errors import BadField
from predictions.models import (
    ApiToken,
    Batch,
    EmbeddingJob,
    EyeImage,
    Prediction,
    Promotion,
    Release,
    WebhookDelivery,
    WebhookEndpoint,
)
from predictions.wording import describe

if TYPE_CHECKING:
    RowAdmin = admin.ModelAdmin[Any]
else:
    RowAdmin = admin.ModelAdmin


class OnRecord(RowAdmin):
    """Rows that are looked at and never edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(EyeImage)
class EyeImageAdmin(OnRecord):
    list_display = ("thumbnail", "patient_key", "eye", "site", "source", "split", "may_train", "created_at")
    list_display_links = ("thumbnail", "patient_key")
    list_filter = ("eye", "source", "split", "may_train", "site")
    search_fields = ("patient_key", "sha256", "id")
    date_hierarchy = "created_at"
    list_per_page = 50

    @admin.display(description="photo")
    def thumbnail(self, image: EyeImage) -> SafeString:
        address = reverse("predictions:photo", args=[image.pk, "thumb"])
        return format_html('<img src="{}" alt="photo {}" width="64" height="64" loading="lazy">', address, image.pk)


@admin.register(Prediction)
class PredictionAdmin(OnRecord):
    list_display = ("id", "status", "answer", "probability", "needs_review", "reasons", "release", "created_at")
    list_filter = ("status", "decision", "needs_review", "release", "mode")
    list_select_related = ("release", "image")
    search_fields = ("id", "image__patient_key", "image__sha256")
    date_hierarchy = "created_at"
    list_per_page = 50
    actions = ("retry",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prediction]:
        return super().get_queryset(request).select_related("image", "release")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        listing = getattr(response, "context_data", {}).get("cl")
        if listing is not None:
            services.disclose(predictions=list(listing.result_list), user=request.user)  # type: ignore[arg-type]
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        prediction = self.get_object(request, object_id)
        if prediction is not None:
            services.disclose(predictions=[prediction], user=request.user)  # type: ignore[arg-type]
        return super().change_view(request, object_id, form_url, extra_context)

    @admin.display(description="answer")
    def answer(self, prediction: Prediction) -> str:
        return describe(prediction).headline

    @admin.action(description="Ask again about failed predictions", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Prediction]) -> None:
        count = sum(services.retry_prediction(prediction=prediction) for prediction in chosen)
        self.message_user(request, f"{count} failed predictions are tried again.", messages.INFO)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.promote_release")


@admin.register(Release)
class ReleaseAdmin(OnRecord):
    list_display = ("id", "status", "encoder", "created_at", "promoted_at")
    list_filter = ("status",)
    search_fields = ("id",)


@admin.register(EmbeddingJob)
class EmbeddingJobAdmin(OnRecord):
    list_display = ("release", "status", "embedded", "total", "unreadable", "created_at", "finished_at")
    list_filter = ("status",)
    list_select_related = ("release",)


@admin.register(Promotion)
class PromotionAdmin(OnRecord):
    list_display = ("release", "previous", "promoted_by", "reason", "is_rollback", "created_at")
    list_select_related = ("release", "previous", "promoted_by")


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key: whose, what for, what it may do, how long."""

    scopes = forms.MultipleChoiceField(choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple)
    days = forms.IntegerField(min_value=1, max_value=730, initial=90, help_text="How long it lives, in days.")

    class Meta:
        model = ApiToken
        fields = ("user", "name")


@admin.register(ApiToken)
class ApiTokenAdmin(RowAdmin):
    """A key is shown once, when it is made; it can be revoked and never edited."""

    form = TokenForm
    fields = ("user", "name", "scopes", "days")
    list_display = ("name", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        seen = ("user", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        return self.fields if obj is None else seen

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        token, plain = services.create_token(
            user=obj.user, name=obj.name, scopes=form.cleaned_data["scopes"], days=form.cleaned_data["days"]
        )
        obj.pk, obj.digest = token.pk, token.digest
        obj.scopes, obj.expires_at = token.scopes, token.expires_at
        text = format_html("The key of {}: <code>{}</code> Copy it now: it is not shown again.", token.name, plain)
        messages.warning(request, text)

    @admin.action(description="Revoke the chosen keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen:
            services.revoke_token(token=token)
        self.message_user(request, "Revoked. They open nothing any more.", messages.INFO)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.change_apitoken")


@admin.register(Batch)
class BatchAdmin(OnRecord):
    list_display = ("id", "status", "total", "source", "requested_by", "created_at", "done_at")
    list_filter = ("status", "source")
    list_select_related = ("requested_by",)
    date_hierarchy = "created_at"


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new endpoint: whose, where, what about."""

    url = forms.URLField(max_length=500, assume_scheme="https")
    events = forms.MultipleChoiceField(choices=WebhookEndpoint.Event.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = WebhookEndpoint
        fields = ("user", "url", "active")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            webhooks.check_address(url)
        except BadField as error:
            raise forms.ValidationError(error.message) from None
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(RowAdmin):
    """Endpoints of other systems. The secret is shown once, when an endpoint is made."""

    form = EndpointForm
    fields = ("user", "url", "events", "active")
    list_display = ("url", "user", "events", "active", "created_at")
    list_filter = ("active",)
    list_select_related = ("user",)

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        obj.events = form.cleaned_data["events"]
        if not change:
            obj.secret = webhooks.new_secret()
            text = format_html("The secret of {}: <code>{}</code> Copy it now: it is not shown again.", obj, obj.secret)
            messages.warning(request, text)
        super().save_model(request, obj, form, change)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(OnRecord):
    list_display = ("event", "endpoint", "status", "attempts", "response_status", "error", "created_at", "delivered_at")
    list_filter = ("status", "event")
    list_select_related = ("endpoint",)
    date_hierarchy = "created_at"
    actions = ("redeliver",)

    @admin.action(description="Send the chosen messages again", permissions=["redeliver"])
    def redeliver(self, request: HttpRequest, chosen: QuerySet[WebhookDelivery]) -> None:
        count = sum(webhooks.redeliver(delivery=delivery) for delivery in chosen)
        self.message_user(request, f"{count} messages are sent again.", messages.INFO)

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.change_webhookdelivery")
