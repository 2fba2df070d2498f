"""Addresses of notices."""

from django.urls import URLPattern, path

from cataract.ops.notices import views

app_name = "ops"
urlpatterns: list[URLPattern] = [
    path("", views.notices_page, name="notices"),
    path("seen/", views.mark_all_seen, name="notices-seen"),
    path("<uuid:pk>/seen/", views.mark_seen, name="notice-seen"),
    path("<uuid:pk>/own/", views.own, name="notice-own"),
]
