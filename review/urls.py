"""Addresses of the review pages. One case has one address, whatever it waits for."""

from django.urls import URLPattern, path

from review import views, views_agreement

app_name = "review"
urlpatterns: list[URLPattern] = [
    path("", views.queue_page, name="queue"),
    path("agreement/", views_agreement.agreement_page, name="agreement"),
    path("labels/export/", views_agreement.export, name="export"),
    path("next/", views.next_case, name="next"),
    path("undo/", views.undo, name="undo"),
    path("cases/<uuid:pk>/", views.case_page, name="case"),
    path("cases/<uuid:pk>/photo/", views.photo, name="photo"),
    path("cases/<uuid:pk>/claim/", views.claim, name="claim"),
    path("cases/<uuid:pk>/skip/", views.skip, name="skip"),
    path("cases/<uuid:pk>/renew/", views.renew, name="renew"),
    path("cases/<uuid:pk>/leave/", views.leave, name="leave"),
]
