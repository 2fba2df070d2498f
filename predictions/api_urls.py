"""Addresses of the API under /api/v1/."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from predictions import api

urlpatterns: list[URLPattern] = [
    path("predictions", api.Predictions.as_view(), name="api-predictions"),
    path("predictions/<uuid:prediction_id>", api.OnePrediction.as_view(), name="api-prediction"),
    path("releases", api.Releases.as_view(), name="api-releases"),
    path("health/live", api.Live.as_view(), name="api-live"),
    path("health/ready", api.Ready.as_view(), name="api-ready"),
    path("system", api.System.as_view(), name="api-system"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
]
