"""Addresses of this app."""

from django.urls import URLPattern, path, register_converter

from predictions import views


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
    path("photos/<uuid:image_id>/<photo_kind:kind>/", views.photo, name="photo"),
]
