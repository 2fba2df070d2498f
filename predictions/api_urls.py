"""Addresses of the API under /api/v1/."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from predictions import api, api_batches, api_results, api_system, api_webhooks

urlpatterns: list[URLPattern] = [
    path("predictions", api.Predictions.as_view(), name="api-predictions"),
    path("predictions/<uuid:prediction_id>", api.OnePrediction.as_view(), name="api-prediction"),
    path("predictions/<uuid:prediction_id>/explanation", api_results.Explanation.as_view(), name="api-explanation"),
    path("predictions/<uuid:prediction_id>/fhir", api_results.Fhir.as_view(), name="api-fhir"),
    path("batches", api_batches.Batches.as_view(), name="api-batches"),
    path("batches/<uuid:batch_id>", api_batches.OneBatch.as_view(), name="api-batch"),
    path("batches/<uuid:batch_id>/cancel", api_batches.CancelBatch.as_view(), name="api-batch-cancel"),
    path("batches/<uuid:batch_id>/resume", api_batches.ResumeBatch.as_view(), name="api-batch-resume"),
    path("batches/<uuid:batch_id>/results", api_batches.BatchResults.as_view(), name="api-batch-results"),
    path("batches/<uuid:batch_id>/results.csv", api_batches.BatchResultsCsv.as_view(), name="api-batch-csv"),
    path("releases", api.Releases.as_view(), name="api-releases"),
    path("health/live", api.Live.as_view(), name="api-live"),
    path("health/ready", api.Ready.as_view(), name="api-ready"),
    path("system", api_system.System.as_view(), name="api-system"),
    path("drift", api_system.DriftView.as_view(), name="api-drift"),
    path("webhooks", api_webhooks.Webhooks.as_view(), name="api-webhooks"),
    path("webhooks/<uuid:endpoint_id>", api_webhooks.OneWebhook.as_view(), name="api-webhook"),
    path("webhook-deliveries", api_webhooks.Deliveries.as_view(), name="api-deliveries"),
    path("webhook-deliveries/<uuid:delivery_id>/redeliver", api_webhooks.Redeliver.as_view(), name="api-redeliver"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
]
