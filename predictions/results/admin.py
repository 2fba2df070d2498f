"""Predictions in the admin: read-only, with one action that retries failed ones."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from cataract.core.admin import ReadOnlyAdmin
from cataract.core.http.users import user_of
from predictions.answering import services
from predictions.answering.blindness import reads_blind
from predictions.answering.models import Prediction, PredictionQuerySet
from predictions.photos import search
from predictions.results.wording import describe


class DisclosingAdmin(ReadOnlyAdmin):
    """Rows that show an answer about a photo: whoever opens one, or a list of them, is no blind reader of the photo.

    People who read photos cannot filter: a row that is missing from "cataract" would tell its answer unrecorded.
    """

    image_field = "image_id"  # the path from a row to the id of its photo
    search_fields: ClassVar[Any] = ("pk",)  # what is searched: see get_search_results
    search_help_text = search.HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(self.searched(search_term)) if search_term else queryset, False

    def searched(self, words: str) -> Q:
        """The rows with this id, and those of the photos that `find_photos` finds: columns of the row's own table."""
        found = Q(**{f"{self.image_field}__in": search.find_photos(words)})
        own = search.as_id(words)
        return found if own is None else found | Q(pk=own)

    def get_list_filter(self, request: HttpRequest) -> Any:
        return () if reads_blind(user_of(request)) else super().get_list_filter(request)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return not (request and reads_blind(user_of(request))) and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        listing = getattr(response, "context_data", {}).get("cl")
        if listing is not None:
            self._disclose(request, [row.pk for row in listing.result_list])
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is not None:
            self._disclose(request, [row.pk])
        return super().change_view(request, object_id, form_url, extra_context)

    def _disclose(self, request: HttpRequest, rows: list[Any]) -> None:
        images = self.model._default_manager.filter(pk__in=rows).values_list(self.image_field, flat=True)
        services.disclose_photos(images=images, user=user_of(request))


@admin.register(Prediction)
class PredictionAdmin(DisclosingAdmin):
    list_display = ("id", "status", "answer", "probability", "needs_review", "reasons", "release", "created_at")
    list_filter = ("created_at", "status", "decision", "needs_review", "release", "mode")
    list_per_page = 50
    actions = ("retry",)
    photo = "image_id"
    related = ("image", "image.patient", "release", "review_case", "image.labels")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prediction]:
        predictions: PredictionQuerySet = super().get_queryset(request)  # type: ignore[assignment]
        return predictions.of_kept_photos().as_shown()

    @admin.display(description="answer")
    def answer(self, prediction: Prediction) -> str:
        return describe(prediction).short

    @admin.action(description="Retry failed predictions", permissions=["retry"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Prediction]) -> None:
        count = sum(services.retry_prediction(prediction=prediction) for prediction in chosen)
        self.message_user(request, f"Failed predictions queued again: {count}.", messages.INFO)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.promote_release")
