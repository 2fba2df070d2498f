"""Stored photos in the admin: read-only, with actions that open the pages for consent and deletion."""

from collections.abc import Iterator
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from cataract.core.admin import ReadOnlyAdmin, Related
from cataract.core.permissions import READS_BLIND
from predictions.photos import search
from predictions.photos.chosen import MOST
from predictions.photos.models import EyeImage


@admin.register(EyeImage)
class EyeImageAdmin(ReadOnlyAdmin):
    list_display = ("thumbnail", "patient_key", "eye", "site", "device", "source", "split", "may_train", "created_at")
    list_display_links = ("thumbnail", "patient_key")
    list_filter = ("created_at", "eye", "source", "split", "may_train", "always_read", "site")
    list_select_related = ("patient", "site", "device")
    search_fields = ("pk",)  # what is searched: see get_search_results
    search_help_text = search.HELP
    list_per_page = 50
    change_form_template = "admin/predictions/photo.html"
    actions = ("change_consent", "delete_photos")
    photo = "pk"
    related = ("patient", "predictions", "review_cases", "labels")

    def related_of(self, request: HttpRequest, row: EyeImage) -> Iterator[Related]:
        """Nothing for whoever reads photos: that there is a case, or two, hints at the answers."""
        return (
            iter(()) if any(request.user.has_perm(name) for name in READS_BLIND) else super().related_of(request, row)
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[EyeImage]:
        """Photos in the trash and tombstones of purged ones are listed under their deletions only."""
        found: QuerySet[EyeImage] = super().get_queryset(request)
        return found.filter(status=EyeImage.Status.KEPT)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EyeImage], search_term: str
    ) -> tuple[QuerySet[EyeImage], bool]:
        found = queryset.filter(pk__in=search.find_photos(search_term)) if search_term else queryset
        return found, False

    @admin.action(description="Change the consent of the chosen photos", permissions=["consent"])
    def change_consent(self, request: HttpRequest, chosen: QuerySet[EyeImage]) -> HttpResponse | None:
        return self._page_of("predictions:consent", request, chosen)

    @admin.action(description="Delete the chosen photos", permissions=["deletion"])
    def delete_photos(self, request: HttpRequest, chosen: QuerySet[EyeImage]) -> HttpResponse | None:
        return self._page_of("predictions:delete", request, chosen)

    def has_consent_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.change_consent")

    def has_deletion_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.delete_photo")

    def _page_of(self, name: str, request: HttpRequest, chosen: QuerySet[EyeImage]) -> HttpResponse | None:
        """The page that asks for the reason, about at most MOST photos: an address holds no more."""
        ids = [str(pk) for pk in chosen.values_list("pk", flat=True)]
        if len(ids) > MOST:
            self.message_user(request, f"Choose at most {MOST} photos at a time.", messages.ERROR)
            return None
        return HttpResponseRedirect(f"{reverse(name)}?{urlencode({'photo': ids}, doseq=True)}")
