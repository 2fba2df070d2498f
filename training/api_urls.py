"""Addresses of the API under /api/v1/."""

from django.urls import URLPattern, path

from training import api, api_live

urlpatterns: list[URLPattern] = [
    path("training-runs", api.TrainingRuns.as_view(), name="api-training-runs"),
    path("training-runs/<uuid:run_id>", api.OneTrainingRun.as_view(), name="api-training-run"),
    path("live-tests", api_live.LiveTests.as_view(), name="api-live-tests"),
    path("live-tests/<uuid:test_id>", api_live.OneLiveTest.as_view(), name="api-live-test"),
    path("live-tests/<uuid:test_id>/stop", api_live.StopLiveTest.as_view(), name="api-live-test-stop"),
    path("releases/rollback", api.Rollback.as_view(), name="api-rollback"),
    path("releases/<str:release_id>/confirm", api.ConfirmPromotion.as_view(), name="api-confirm"),
    path("releases/<str:release_id>/evidence.pdf", api.Evidence.as_view(), name="api-evidence"),
    path("releases/<str:release_id>/promote", api.Promote.as_view(), name="api-promote"),
]
