"""Read-only admin pages of look-backs."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from review.lookback.models import LookBack


@admin.register(LookBack)
class LookBackAdmin(ReadOnlyAdmin):
    list_display = ("release", "by_release", "since", "until", "status", "total", "requested_by", "created_at")
    list_filter = ("status", "created_at")
    list_select_related = ("requested_by",)
