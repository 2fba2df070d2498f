"""Addresses of the status page and its repairs."""

from django.urls import URLPattern, path

from cataract.status import views

app_name = "status"
urlpatterns: list[URLPattern] = [
    path("", views.status_page, name="page"),
    path("photos/retry/", views.retry_photos, name="retry"),
    path("runs/<uuid:pk>/resume/", views.resume_run, name="resume"),
    path("accounts/<int:pk>/let-in/", views.let_in, name="let-in"),
    path("doctor/", views.ask_doctor, name="doctor"),
]
