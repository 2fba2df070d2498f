"""Read-only admin pages of outcomes."""

from django.contrib import admin
from django.db.models import Q

from predictions.photos import search
from predictions.results.admin import DisclosingAdmin
from review.outcomes.models import Outcome


@admin.register(Outcome)
class OutcomeAdmin(DisclosingAdmin):
    image_field = "patient__images"
    list_display = (
        "patient", "eye", "cataract", "operated", "seen_on", "source", "recorded_by", "created_at", "superseded_at",
    )  # fmt: skip
    list_filter = ("cataract", "operated", "source", "created_at")
    search_help_text = "A whole id, or the first characters of a patient key."
    list_select_related = ("patient", "recorded_by")

    def searched(self, words: str) -> Q:
        own = search.as_id(words)
        return Q(patient__in=search.find_patients(words)) if own is None else Q(pk=own)
