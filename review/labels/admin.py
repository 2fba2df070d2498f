"""Read-only admin pages of labels."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from predictions.photos.models import EyeImage
from predictions.results.admin import DisclosingAdmin
from review.labels.models import Label


@admin.register(Label)
class LabelAdmin(DisclosingAdmin):
    list_display = ("id", "image", "answer", "provenance", "may_train", "weight", "created_at", "superseded_at")
    list_filter = ("answer", "provenance", "may_train", "created_at")
    list_select_related = ("image__patient",)
    photo = "image_id"
    related = ("image", "case", "readings", "image.predictions")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Label]:
        found: QuerySet[Label] = super().get_queryset(request)
        return found.filter(image__status=EyeImage.Status.KEPT)
