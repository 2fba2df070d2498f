"""Changes of consent in the admin, read-only."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from predictions.consent.models import ConsentChange


@admin.register(ConsentChange)
class ConsentChangeAdmin(ReadOnlyAdmin):
    list_title = "Changes of consent"
    list_display = ("at", "patient", "image", "before", "after", "reason", "by")
    list_select_related = ("patient", "image__patient", "by")
    list_filter = ("after", "at")
    search_fields = ("patient__key", "image__sha256", "reason")
