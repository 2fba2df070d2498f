"""Addresses of this app."""

from django.urls import URLPattern, path, register_converter

from predictions import views, views_batches


class PhotoKind:
    """The forms in which a photo can be asked for."""

    regex = "view|thumb|original"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PhotoKind, "photo_kind")

app_name = "predictions"
urlpatterns: list[URLPattern] = [
    path("upload/", views.upload, name="upload"),
    path("uploads/", views.uploads, name="list"),
    path("results/<uuid:prediction_id>/", views.detail, name="detail"),
    path("batches/", views_batches.batch_list, name="batches"),
    path("batches/<uuid:batch_id>/", views_batches.batch_page, name="batch"),
    path("batches/<uuid:batch_id>/cancel/", views_batches.batch_cancel, name="batch-cancel"),
    path("batches/<uuid:batch_id>/resume/", views_batches.batch_resume, name="batch-resume"),
    path("batches/<uuid:batch_id>/results.csv", views_batches.batch_csv, name="batch-csv"),
    path("photos/<uuid:image_id>/<photo_kind:kind>/", views.photo, name="photo"),
]
