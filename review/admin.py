"""Cases, readings and labels to look at. Nothing here can be added, edited or deleted: answers go through the pages."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from review.models import Label, Reading, ReviewCase

if TYPE_CHECKING:  # generic for the type checker only
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin, TabularInline = admin.ModelAdmin, admin.TabularInline


class ReadOnlyAdmin(ModelAdmin):
    """A record to look at, for those with the permission to view it."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadingInline(TabularInline):
    model = Reading
    fields = ("role", "reader", "blind_answer", "blind_at", "ai_shown_at", "final_answer", "unsure", "retracted_at")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ReviewCase)
class ReviewCaseAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "status",
        "priority",
        "reasons",
        "review_propensity",
        "claimed_by",
        "lease_until",
        "created_at",
    )
    list_filter = ("status", "priority", "policy_version", "created_at")
    search_fields = ("id", "image__patient_key", "image__sha256")
    list_select_related = ("claimed_by",)
    inlines = (ReadingInline,)
    date_hierarchy = "created_at"


@admin.register(Reading)
class ReadingAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "case",
        "reader",
        "role",
        "blind_answer",
        "final_answer",
        "unsure",
        "blind_at",
        "retracted_at",
    )
    list_filter = ("role", "blind_answer", "final_answer", "unsure", "ai_shown_first", "blind_at")
    search_fields = ("id", "reader__username", "case__id")
    list_select_related = ("case", "reader")


@admin.register(Label)
class LabelAdmin(ReadOnlyAdmin):
    list_display = ("id", "image", "answer", "provenance", "may_train", "weight", "created_at", "superseded_at")
    list_filter = ("answer", "provenance", "may_train", "created_at")
    search_fields = ("id", "image__patient_key", "image__sha256")
    list_select_related = ("image",)
