"""Addresses of the overview and the monthly report."""

from django.urls import URLPattern, path

from cataract.ops.overview import views

app_name = "overview"
urlpatterns: list[URLPattern] = [
    path("", views.overview_page, name="page"),
    path("month/", views.month_page, name="last-month"),
    path("month/<str:name>/", views.month_page, name="month"),
    path("month/<str:name>/pdf/", views.month_pdf, name="month-pdf"),
    path("month/<str:name>/csv/", views.month_csv, name="month-csv"),
]
