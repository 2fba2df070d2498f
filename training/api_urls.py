"""Addresses of the API under /api/v1/."""

from django.urls import URLPattern, path

from training import api

urlpatterns: list[URLPattern] = [
    path("training-runs", api.TrainingRuns.as_view(), name="api-training-runs"),
    path("training-runs/<uuid:run_id>", api.OneTrainingRun.as_view(), name="api-training-run"),
    path("releases/rollback", api.Rollback.as_view(), name="api-rollback"),
    path("releases/<str:release_id>/promote", api.Promote.as_view(), name="api-promote"),
]
