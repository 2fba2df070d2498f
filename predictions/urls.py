"""Addresses of this app."""

from django.urls import URLPattern

app_name = "predictions"
urlpatterns: list[URLPattern] = []
