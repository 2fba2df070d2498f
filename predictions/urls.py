"""Addresses of this app."""

from django.urls import URLPattern, path, register_converter

from predictions.batches import views as batches_views
from predictions.consent import views as consent_views
from predictions.corrections import views as corrections_views
from predictions.news import views as news_views
from predictions.patients import views as patients_views
from predictions.patients.letters import LETTERS
from predictions.photos import views as photos_views
from predictions.results import views as results_views
from predictions.retention import views as retention_views
from predictions.saved_filters import views as saved_filters_views
from predictions.stops import views as stops_views
from predictions.uploads import views as uploads_views


class PhotoKind:
    """The variants of a photo that can be requested."""

    regex = "view|thumb|original"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class DeletionAct(PhotoKind):
    """What can be done with a deletion."""

    regex = "confirm|cancel|restore|purge"


register_converter(PhotoKind, "photo_kind")
register_converter(DeletionAct, "deletionact")

app_name = "predictions"
urlpatterns: list[URLPattern] = [
    path("upload/", uploads_views.upload, name="upload"),
    path("uploads/", results_views.uploads, name="list"),
    path("uploads/seen/", news_views.mark_all_seen, name="mark-seen"),
    path("uploads/mail/", news_views.choose_digest, name="choose-digest"),
    path("uploads/filters/", saved_filters_views.save, name="save-filter"),
    path("uploads/filters/<uuid:filter_id>/", saved_filters_views.open_saved, name="saved-filter"),
    path("uploads/filters/<uuid:filter_id>/delete/", saved_filters_views.delete, name="delete-filter"),
    path("results/<uuid:prediction_id>/", results_views.detail, name="detail"),
    path("patients/", patients_views.patient_list, name="patients"),
    path("patients/<uuid:patient_id>/", patients_views.patient_page, name="patient"),
    *(
        path(f"patients/<uuid:patient_id>/{kind}{suffix}", view, {"kind": kind}, name=f"{kind}-{what}")
        for kind in LETTERS
        for suffix, view, what in (
            ("/", patients_views.letter_page, "letter"),
            (".pdf", patients_views.letter_pdf, "pdf"),
        )
    ),
    path("results/<uuid:prediction_id>/correct/", corrections_views.correct, name="correct"),
    path("corrections/", corrections_views.checks, name="checks"),
    path("corrections/<uuid:check_id>/", corrections_views.answer_check, name="check"),
    path("batches/", batches_views.batch_list, name="batches"),
    path("batches/<uuid:batch_id>/", batches_views.batch_page, name="batch"),
    path("batches/<uuid:batch_id>/cancel/", batches_views.batch_cancel, name="batch-cancel"),
    path("batches/<uuid:batch_id>/resume/", batches_views.batch_resume, name="batch-resume"),
    path("batches/<uuid:batch_id>/retry/", batches_views.batch_retry, name="batch-retry"),
    path("batches/<uuid:batch_id>/results.csv", batches_views.batch_csv, name="batch-csv"),
    path("consent/", consent_views.consent, name="consent"),
    path("deletions/", retention_views.deletions, name="deletions"),
    path("deletions/new/", retention_views.delete, name="delete"),
    path("deletions/<uuid:deletion_id>/<deletionact:act>/", retention_views.act, name="deletion-act"),
    path("safety-switch/", stops_views.stops_page, name="stops"),
    path("safety-switch/<int:stop_id>/on/", stops_views.lift, name="stop-lift"),
    path("photos/<uuid:image_id>/<photo_kind:kind>/", photos_views.photo, name="photo"),
]
