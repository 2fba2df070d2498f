"""Frozen datasets in the Django admin, to look at."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from training.datasets.models import Dataset


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ("fingerprint", "created_at", "created_by")
    readonly_fields = ("fingerprint", "counts", "always_read", "created_at", "created_by")
