"""Releases in the admin, read-only."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from predictions.releases.models import Promotion, Release


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ("id", "status", "encoder", "created_at", "promoted_at")
    list_filter = ("status",)
    search_fields = ("id",)


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    list_display = ("release", "previous", "promoted_by", "reason", "is_rollback", "created_at")
    list_select_related = ("release", "previous", "promoted_by")
