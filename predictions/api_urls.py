"""Addresses of the API under /api/v1/."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from predictions import api, api_batches

urlpatterns: list[URLPattern] = [
    path("predictions", api.Predictions.as_view(), name="api-predictions"),
    path("predictions/<uuid:prediction_id>", api.OnePrediction.as_view(), name="api-prediction"),
    path("batches", api_batches.Batches.as_view(), name="api-batches"),
    path("batches/<uuid:batch_id>", api_batches.OneBatch.as_view(), name="api-batch"),
    path("batches/<uuid:batch_id>/cancel", api_batches.CancelBatch.as_view(), name="api-batch-cancel"),
    path("batches/<uuid:batch_id>/resume", api_batches.ResumeBatch.as_view(), name="api-batch-resume"),
    path("batches/<uuid:batch_id>/results", api_batches.BatchResults.as_view(), name="api-batch-results"),
    path("batches/<uuid:batch_id>/results.csv", api_batches.BatchResultsCsv.as_view(), name="api-batch-csv"),
    path("releases", api.Releases.as_view(), name="api-releases"),
    path("health/live", api.Live.as_view(), name="api-live"),
    path("health/ready", api.Ready.as_view(), name="api-ready"),
    path("system", api.System.as_view(), name="api-system"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
]
