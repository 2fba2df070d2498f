"""Addresses of health and system state under /api/v1/."""

from django.urls import URLPattern, path

from cataract.ops import api

urlpatterns: list[URLPattern] = [
    path("health/live", api.Live.as_view(), name="api-live"),
    path("health/ready", api.Ready.as_view(), name="api-ready"),
    path("system", api.System.as_view(), name="api-system"),
]
