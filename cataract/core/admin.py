"""Base classes of admin pages."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.text import capfirst

from cataract.core.querysets import count_up_to

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


MOST_LISTED = 4_000


class FirstRows(Paginator):  # type: ignore[type-arg]
    """Pages of the first MOST_LISTED rows: counting and skipping a million of them would take seconds."""

    @cached_property
    def count(self) -> int:
        return count_up_to(self.object_list, MOST_LISTED).number  # type: ignore[arg-type]


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at. Nothing is added, edited or deleted here: rows are written by services."""

    list_title = ""
    paginator = FirstRows
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with `list_title` as its heading instead of "Select ... to view"."""
        title = self.list_title or capfirst(str(self.opts.verbose_name_plural))
        response = super().changelist_view(request, {"title": title, **(extra_context or {})})
        listing = getattr(response, "context_data", {}).get("cl")
        if listing is not None and listing.result_count >= MOST_LISTED:
            response.context_data["title"] = f"{title}: the first {MOST_LISTED:,}. Search or filter to see others."  # type: ignore[attr-defined]
        return response

    def page(self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """A page of our own inside the admin's frame."""
        full = {**self.admin_site.each_context(request), "opts": self.model._meta, **context}
        return TemplateResponse(request, template, full, status=status)
