"""Stored photos in the admin, read-only."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cataract.core.admin import ReadOnlyAdmin
from predictions.photos.models import EyeImage


@admin.register(EyeImage)
class EyeImageAdmin(ReadOnlyAdmin):
    list_display = ("thumbnail", "patient_key", "eye", "site", "device", "source", "split", "may_train", "created_at")
    list_display_links = ("thumbnail", "patient_key")
    list_filter = ("eye", "source", "split", "may_train", "site")
    list_select_related = ("patient", "site", "device")
    search_fields = ("patient__key", "sha256", "id")
    date_hierarchy = "created_at"
    list_per_page = 50

    @admin.display(description="photo")
    def thumbnail(self, image: EyeImage) -> SafeString:
        address = reverse("predictions:photo", args=[image.pk, "thumb"])
        return format_html('<img src="{}" alt="photo {}" width="64" height="64" loading="lazy">', address, image.pk)
