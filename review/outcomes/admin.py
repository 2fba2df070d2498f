"""Read-only admin pages of outcomes."""

from django.contrib import admin

from predictions.results.admin import DisclosingAdmin
from review.outcomes.models import Outcome


@admin.register(Outcome)
class OutcomeAdmin(DisclosingAdmin):
    image_field = "patient__images"
    list_display = (
        "patient", "eye", "cataract", "operated", "seen_on", "source", "recorded_by", "created_at", "superseded_at",
    )  # fmt: skip
    list_filter = ("cataract", "operated", "source", "created_at")
    search_fields = ("id", "patient__key")
    list_select_related = ("patient", "recorded_by")
