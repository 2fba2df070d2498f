"""URLs of the training API, under /api/v1/."""

from django.urls import URLPattern, path

from training.evidence import api as evidence_api
from training.lineage import api as lineage_api
from training.livetests import api as livetests_api
from training.promotion import api as promotion_api
from training.runs import api as runs_api

urlpatterns: list[URLPattern] = [
    path("training-runs", runs_api.TrainingRuns.as_view(), name="api-training-runs"),
    path("training-runs/<uuid:run_id>", runs_api.OneTrainingRun.as_view(), name="api-training-run"),
    path("lineage", lineage_api.LineageView.as_view(), name="api-lineage"),
    path("lineage/retrain", lineage_api.Retrain.as_view(), name="api-lineage-retrain"),
    path("live-tests", livetests_api.LiveTests.as_view(), name="api-live-tests"),
    path("live-tests/<uuid:test_id>", livetests_api.OneLiveTest.as_view(), name="api-live-test"),
    path("live-tests/<uuid:test_id>/stop", livetests_api.StopLiveTest.as_view(), name="api-live-test-stop"),
    path("releases/rollback", promotion_api.Rollback.as_view(), name="api-rollback"),
    path("releases/<str:release_id>/confirm", promotion_api.ConfirmPromotion.as_view(), name="api-confirm"),
    path("releases/<str:release_id>/evidence.pdf", evidence_api.Evidence.as_view(), name="api-evidence"),
    path("releases/<str:release_id>/promote", promotion_api.Promote.as_view(), name="api-promote"),
]
