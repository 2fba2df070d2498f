"""Addresses of the review pages. One case has one address, whatever it waits for."""

from django.urls import URLPattern, path

from review.agreement import views as agreement_views
from review.queue import views as queue_views
from review.reading import pictures
from review.reading import views as reading_views

app_name = "review"
urlpatterns: list[URLPattern] = [
    path("", reading_views.queue_page, name="queue"),
    path("agreement/", agreement_views.agreement_page, name="agreement"),
    path("labels/export/", agreement_views.export, name="export"),
    path("next/", reading_views.next_case, name="next"),
    path("undo/", reading_views.undo, name="undo"),
    path("worklist/", queue_views.worklist_page, name="worklist"),
    path("keys/", reading_views.own_keys, name="keys"),
    path("ask/<uuid:prediction>/", queue_views.ask, name="ask"),
    path("cases/<uuid:pk>/", reading_views.case_page, name="case"),
    path("cases/<uuid:pk>/photo/", pictures.photo, name="photo"),
    path("cases/<uuid:pk>/heat/", pictures.heat, name="heat"),
    path("cases/<uuid:pk>/visits/<uuid:image>/", pictures.visit, name="visit"),
    path("cases/<uuid:pk>/ahead/", reading_views.ahead, name="ahead"),
    path("cases/<uuid:pk>/claim/", reading_views.claim, name="claim"),
    path("cases/<uuid:pk>/skip/", reading_views.skip, name="skip"),
    path("cases/<uuid:pk>/renew/", reading_views.renew, name="renew"),
    path("cases/<uuid:pk>/leave/", reading_views.leave, name="leave"),
]
