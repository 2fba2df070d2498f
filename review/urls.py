"""Addresses of the review pages. One case has one address, whatever it waits for."""

from django.urls import URLPattern, path

from review import desk, holding, pictures, views, views_agreement

app_name = "review"
urlpatterns: list[URLPattern] = [
    path("", views.queue_page, name="queue"),
    path("agreement/", views_agreement.agreement_page, name="agreement"),
    path("labels/export/", views_agreement.export, name="export"),
    path("next/", holding.next_case, name="next"),
    path("undo/", holding.undo, name="undo"),
    path("worklist/", desk.worklist_page, name="worklist"),
    path("keys/", desk.own_keys, name="keys"),
    path("ask/<uuid:prediction>/", desk.ask, name="ask"),
    path("cases/<uuid:pk>/", views.case_page, name="case"),
    path("cases/<uuid:pk>/photo/", pictures.photo, name="photo"),
    path("cases/<uuid:pk>/heat/", pictures.heat, name="heat"),
    path("cases/<uuid:pk>/visits/<uuid:image>/", pictures.visit, name="visit"),
    path("cases/<uuid:pk>/ahead/", holding.ahead, name="ahead"),
    path("cases/<uuid:pk>/claim/", holding.claim, name="claim"),
    path("cases/<uuid:pk>/skip/", holding.skip, name="skip"),
    path("cases/<uuid:pk>/renew/", holding.renew, name="renew"),
    path("cases/<uuid:pk>/leave/", holding.leave, name="leave"),
]
