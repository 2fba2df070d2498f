"""Read-only admin pages of cases and readings. Readers answer on the review pages."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from predictions.photos import search
from predictions.photos.models import EyeImage
from predictions.results.admin import DisclosingAdmin
from review.cases.models import Amendment, Reading, ReviewCase

if TYPE_CHECKING:  # generic for the type checker only
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin, TabularInline = admin.ModelAdmin, admin.TabularInline


class ReadingInline(TabularInline):
    model = Reading
    fields = ("role", "reader", "blind_answer", "blind_at", "ai_shown_at", "final_answer", "unsure", "retracted_at")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AmendmentInline(TabularInline):
    model = Amendment
    fields = ("at", "by", "kind", "answer_before", "answer", "reason")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ReviewCase)
class ReviewCaseAdmin(DisclosingAdmin):
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
    list_filter = ("status", "kind", "created_at")
    ordering = ("-created_at",)
    list_select_related = ("claimed_by",)
    inlines = (ReadingInline, AmendmentInline)
    photo = "image_id"
    related = ("image", "image.patient", "prediction", "prediction.release", "readings", "labels")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReviewCase]:
        found: QuerySet[ReviewCase] = super().get_queryset(request)
        return found.filter(image__status=EyeImage.Status.KEPT)


class OfCaseAdmin(DisclosingAdmin):
    """Rows that belong to a case: found also by the id of the case, and by the whole name of whoever made them."""

    image_field = "case__image_id"
    person_field = ""
    search_help_text = f"{search.HELP} Or the id of a case, or the whole name of a user."

    def searched(self, words: str) -> Q:
        cases = ReviewCase.objects.filter(image__in=search.find_photos(words)).values_list("pk", flat=True)
        users = User.objects.filter(username=words.strip()).values_list("pk", flat=True)
        found = Q(case__in=list(cases)) | Q(**{f"{self.person_field}__in": list(users)})
        own = search.as_id(words)
        return found if own is None else found | Q(pk=own) | Q(case=own)


@admin.register(Reading)
class ReadingAdmin(OfCaseAdmin):
    person_field = "reader"
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
    photo = "case.image_id"
    related = ("case", "case.image", "case.prediction", "labels")
    list_filter = ("role", "blind_answer", "final_answer", "unsure", "ai_shown_first", "blind_at")
    list_select_related = ("case", "reader")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reading]:
        found: QuerySet[Reading] = super().get_queryset(request)
        return found.filter(case__image__status=EyeImage.Status.KEPT)


@admin.register(Amendment)
class AmendmentAdmin(OfCaseAdmin):
    person_field = "by"
    list_display = ("case", "kind", "by", "answer_before", "answer", "reason", "at")
    list_filter = ("kind", "at")
    photo = "case.image_id"
    related = ("case", "case.image", "case.labels")
    list_select_related = ("case", "by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Amendment]:
        found: QuerySet[Amendment] = super().get_queryset(request)
        return found.filter(case__image__status=EyeImage.Status.KEPT)
