"""Batches in the admin, read-only."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from predictions.batches.models import Batch


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = ("id", "status", "total", "source", "requested_by", "created_at", "done_at")
    list_filter = ("status", "source")
    list_select_related = ("requested_by",)
    date_hierarchy = "created_at"
