"""Addresses of the training pages outside the admin."""

from django.urls import URLPattern, path

from training.lineage import views as lineage_views
from training.promotion import views as promotion_views

app_name = "training"
urlpatterns: list[URLPattern] = [
    path("lineage/", lineage_views.lineage, name="lineage"),
    path("timeline/", promotion_views.timeline, name="timeline"),
    path("releases/<str:release_id>/photos/", promotion_views.release_photos, name="release-photos"),
]
