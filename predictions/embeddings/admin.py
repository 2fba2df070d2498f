"""Embedding jobs in the admin, read-only."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from predictions.embeddings.models import EmbeddingJob


@admin.register(EmbeddingJob)
class EmbeddingJobAdmin(ReadOnlyAdmin):
    list_display = ("release", "status", "embedded", "total", "unreadable", "created_at", "finished_at")
    list_filter = ("status",)
    list_select_related = ("release",)
