"""Predictions in the admin: read-only, with one action that retries failed ones."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from cataract.core.admin import ReadOnlyAdmin
from predictions.answering import services
from predictions.answering.models import Prediction
from predictions.results.wording import describe


@admin.register(Prediction)
class PredictionAdmin(ReadOnlyAdmin):
    list_display = ("id", "status", "answer", "probability", "needs_review", "reasons", "release", "created_at")
    list_filter = ("status", "decision", "needs_review", "release", "mode")
    list_select_related = ("release", "image")
    search_fields = ("id", "image__patient__key", "image__sha256")
    date_hierarchy = "created_at"
    list_per_page = 50
    actions = ("retry",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prediction]:
        return super().get_queryset(request).of_kept_photos().select_related("image", "release")

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

    @admin.action(description="Retry failed predictions", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Prediction]) -> None:
        count = sum(services.retry_prediction(prediction=prediction) for prediction in chosen)
        self.message_user(request, f"Failed predictions queued again: {count}.", messages.INFO)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.promote_release")
