"""Addresses of the training pages outside the admin."""

from django.urls import URLPattern, path

from training.lineage import views as lineage_views

app_name = "training"
urlpatterns: list[URLPattern] = [path("lineage/", lineage_views.lineage, name="lineage")]
