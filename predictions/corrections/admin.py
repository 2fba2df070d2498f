"""Corrections, and the checks whose photo it is, in the admin, read-only."""

from django.contrib import admin

from cataract.core.admin import ReadOnlyAdmin
from predictions.corrections.models import Correction
from predictions.photos.models import WrongPatientCheck


@admin.register(Correction)
class CorrectionAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "image", "before", "after", "reason", "by")
    list_filter = ("kind",)
    list_select_related = ("image__patient", "by")
    search_fields = ("image__id", "image__patient__key", "reason")
    date_hierarchy = "at"


@admin.register(WrongPatientCheck)
class WrongPatientCheckAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "image", "twin", "status", "outcome", "reason", "resolved_by", "resolved_at")
    list_filter = ("status", "outcome")
    list_select_related = ("image__patient", "twin__patient", "resolved_by")
    date_hierarchy = "created_at"
