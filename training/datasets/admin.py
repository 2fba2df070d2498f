"""Training in the Django admin: start a run and watch it; and what the other pages of the admin share."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from training.datasets.models import Dataset


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ("fingerprint", "created_at", "created_by")
    readonly_fields = ("fingerprint", "counts", "created_at", "created_by")
