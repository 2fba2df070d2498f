"""Addresses of the API under /api/v1/."""

from django.urls import URLPattern, path

from predictions.batches import api as batches_api
from predictions.consent import api as consent_api
from predictions.corrections import api as corrections_api
from predictions.drift import api as drift_api
from predictions.patients import api as patients_api
from predictions.releases import api as releases_api
from predictions.results import api as results_api
from predictions.retention import api as retention_api
from predictions.sites import api as sites_api
from predictions.uploads import api as uploads_api
from predictions.webhooks import api as webhooks_api

urlpatterns: list[URLPattern] = [
    path("predictions", uploads_api.Predictions.as_view(), name="api-predictions"),
    path("predictions/<uuid:prediction_id>", results_api.OnePrediction.as_view(), name="api-prediction"),
    path("predictions/<uuid:prediction_id>/explanation", results_api.Explanation.as_view(), name="api-explanation"),
    path("predictions/<uuid:prediction_id>/fhir", results_api.Fhir.as_view(), name="api-fhir"),
    path("patients", patients_api.Patients.as_view(), name="api-patients"),
    path("patients/<uuid:patient_id>", patients_api.OnePatient.as_view(), name="api-patient"),
    path("predictions/<uuid:prediction_id>/corrections", corrections_api.Corrections.as_view(), name="api-corrections"),
    path("sites", sites_api.Sites.as_view(), name="api-sites"),
    path("devices", sites_api.Devices.as_view(), name="api-devices"),
    path("predictions/<uuid:prediction_id>/consent", consent_api.PhotoConsent.as_view(), name="api-photo-consent"),
    path("patients/<uuid:patient_id>/consent", consent_api.PatientConsent.as_view(), name="api-patient-consent"),
    path("deletions", retention_api.Deletions.as_view(), name="api-deletions"),
    *(
        path(f"deletions/<uuid:deletion_id>/{act}", retention_api.ActOnDeletion.as_view(act=act), name=f"api-{act}")
        for act in retention_api.ACTS
    ),
    path("legal-holds", retention_api.LegalHolds.as_view(), name="api-legal-holds"),
    path("legal-holds/<int:hold_id>/lift", retention_api.LiftLegalHold.as_view(), name="api-legal-hold-lift"),
    path("batches", batches_api.Batches.as_view(), name="api-batches"),
    path("batches/<uuid:batch_id>", batches_api.OneBatch.as_view(), name="api-batch"),
    path("batches/<uuid:batch_id>/cancel", batches_api.CancelBatch.as_view(), name="api-batch-cancel"),
    path("batches/<uuid:batch_id>/resume", batches_api.ResumeBatch.as_view(), name="api-batch-resume"),
    path("batches/<uuid:batch_id>/results", batches_api.BatchResults.as_view(), name="api-batch-results"),
    path("batches/<uuid:batch_id>/results.csv", batches_api.BatchResultsCsv.as_view(), name="api-batch-csv"),
    path("releases", releases_api.Releases.as_view(), name="api-releases"),
    path("releases/<str:release_id>/reject", releases_api.RejectRelease.as_view(), name="api-reject"),
    path("drift", drift_api.DriftView.as_view(), name="api-drift"),
    path("webhooks", webhooks_api.Webhooks.as_view(), name="api-webhooks"),
    path("webhooks/<uuid:endpoint_id>", webhooks_api.OneWebhook.as_view(), name="api-webhook"),
    path("webhook-deliveries", webhooks_api.Deliveries.as_view(), name="api-deliveries"),
    path("webhook-deliveries/<uuid:delivery_id>/redeliver", webhooks_api.Redeliver.as_view(), name="api-redeliver"),
]
