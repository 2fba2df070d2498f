"""Addresses of this app."""

from django.urls import URLPattern, path, register_converter

from predictions.batches import views as batches_views
from predictions.consent import views as consent_views
from predictions.photos import views as photos_views
from predictions.results import views as results_views
from predictions.retention import views as retention_views
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
    path("results/<uuid:prediction_id>/", results_views.detail, name="detail"),
    path("batches/", batches_views.batch_list, name="batches"),
    path("batches/<uuid:batch_id>/", batches_views.batch_page, name="batch"),
    path("batches/<uuid:batch_id>/cancel/", batches_views.batch_cancel, name="batch-cancel"),
    path("batches/<uuid:batch_id>/resume/", batches_views.batch_resume, name="batch-resume"),
    path("batches/<uuid:batch_id>/results.csv", batches_views.batch_csv, name="batch-csv"),
    path("consent/", consent_views.consent, name="consent"),
    path("deletions/", retention_views.deletions, name="deletions"),
    path("deletions/new/", retention_views.delete, name="delete"),
    path("deletions/<uuid:deletion_id>/<deletionact:act>/", retention_views.act, name="deletion-act"),
    path("photos/<uuid:image_id>/<photo_kind:kind>/", photos_views.photo, name="photo"),
]
