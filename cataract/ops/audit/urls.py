"""Addresses of the audit log."""

from django.urls import URLPattern, path

from cataract.ops.audit import views

app_name = "audit"
urlpatterns: list[URLPattern] = [path("", views.audit_page, name="log")]
