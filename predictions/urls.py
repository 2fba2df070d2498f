"""Addresses of this app."""

from django.urls import URLPattern, path, register_converter

from predictions.batches import views as batches_views
from predictions.corrections import views as corrections_views
from predictions.photos import views as photos_views
from predictions.results import views as results_views
from predictions.uploads import views as uploads_views


class PhotoKind:
    """The variants of a photo that can be requested."""

    regex = "view|thumb|original"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PhotoKind, "photo_kind")

app_name = "predictions"
urlpatterns: list[URLPattern] = [
    path("upload/", uploads_views.upload, name="upload"),
    path("uploads/", results_views.uploads, name="list"),
    path("results/<uuid:prediction_id>/", results_views.detail, name="detail"),
    path("results/<uuid:prediction_id>/correct/", corrections_views.correct, name="correct"),
    path("corrections/", corrections_views.checks, name="checks"),
    path("corrections/<uuid:check_id>/", corrections_views.answer_check, name="check"),
    path("batches/", batches_views.batch_list, name="batches"),
    path("batches/<uuid:batch_id>/", batches_views.batch_page, name="batch"),
    path("batches/<uuid:batch_id>/cancel/", batches_views.batch_cancel, name="batch-cancel"),
    path("batches/<uuid:batch_id>/resume/", batches_views.batch_resume, name="batch-resume"),
    path("batches/<uuid:batch_id>/results.csv", batches_views.batch_csv, name="batch-csv"),
    path("photos/<uuid:image_id>/<photo_kind:kind>/", photos_views.photo, name="photo"),
]
