"""Addresses of the training pages outside the admin."""

from django.urls import URLPattern, path

from training.datasets import views as datasets_views
from training.encoders import views as encoders_views
from training.imports import views as imports_views
from training.lineage import views as lineage_views
from training.promotion import views as promotion_views

app_name = "training"
urlpatterns: list[URLPattern] = [
    path("lineage/", lineage_views.lineage, name="lineage"),
    path("labels/", datasets_views.labels, name="labels"),
    path("encoders/", encoders_views.encoders, name="encoders"),
    path("imports/", imports_views.import_list, name="imports"),
    path("imports/<uuid:import_id>/", imports_views.one_import, name="import"),
    path("timeline/", promotion_views.timeline, name="timeline"),
    path("releases/<str:release_id>/photos/", promotion_views.release_photos, name="release-photos"),
]
