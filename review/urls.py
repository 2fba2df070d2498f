"""Addresses of the review pages. A case keeps its address in every status."""

from django.urls import URLPattern, path

from review.acceptance import views as acceptance_views
from review.agreement import views as agreement_views
from review.drift import views as drift_views
from review.feedback import views as feedback_views
from review.labels import views as label_views
from review.lookback import views as lookback_views
from review.outcomes import views as outcome_views
from review.pauses import views as pause_views
from review.practice import views as practice_views
from review.queue import views as queue_views
from review.reading import amendment_views, photo_views
from review.reading import views as reading_views

app_name = "review"
urlpatterns: list[URLPattern] = [
    path("", reading_views.queue_page, name="queue"),
    path("agreement/", agreement_views.agreement_page, name="agreement"),
    path("acceptance/", acceptance_views.acceptance_page, name="acceptance"),
    path("acceptance/decide/", acceptance_views.decide, name="acceptance-decide"),
    path("acceptance/count/", acceptance_views.count_now, name="acceptance-count"),
    path("drift/", drift_views.drift_page, name="drift"),
    path("drift/<uuid:pk>/", drift_views.segment_page, name="drift-segment"),
    path("drift/<uuid:pk>/restart/", drift_views.restart_segment, name="drift-restart"),
    path("labels/export/", label_views.export, name="export"),
    path("next/", reading_views.next_case, name="next"),
    path("look-backs/", lookback_views.look_backs_page, name="look-backs"),
    path("look-backs/cleared-wrongly/", lookback_views.cleared_wrongly_page, name="cleared-wrongly"),
    path("look-backs/<uuid:pk>/", lookback_views.look_back_page, name="look-back"),
    path("look-backs/<uuid:pk>/cancel/", lookback_views.cancel, name="look-back-cancel"),
    path("look-backs/<uuid:pk>/answers.csv", lookback_views.answers_csv, name="look-back-csv"),
    path("outcomes/", outcome_views.outcomes_page, name="outcomes"),
    path("outcomes/new/", outcome_views.record_page, name="outcome"),
    path("outcomes/import/", outcome_views.import_page, name="outcomes-import"),
    path("practice/", practice_views.practice_page, name="practice"),
    path("practice/start/", practice_views.start, name="practice-start"),
    path("practice/cases/", practice_views.cases_page, name="practice-cases"),
    path("practice/instructions/", practice_views.instructions_page, name="practice-instructions"),
    path("practice/<uuid:pk>/", practice_views.session_page, name="practice-session"),
    path("practice/<uuid:pk>/<int:number>/photo/", practice_views.photo, name="practice-photo"),
    path("readers/", pause_views.readers_page, name="readers"),
    path("readers/<int:pk>/lift/", pause_views.lift, name="lift-pause"),
    path("yours/", feedback_views.own_cases, name="own-cases"),
    path("yours/notes/<uuid:pk>/", feedback_views.own_note, name="quality-note"),
    path("undo/", reading_views.undo, name="undo"),
    path("worklist/", queue_views.worklist_page, name="worklist"),
    path("keys/", reading_views.own_keys, name="keys"),
    path("request/<uuid:prediction>/", queue_views.request_review, name="request"),
    path("cases/<uuid:pk>/", reading_views.case_page, name="case"),
    path("cases/<uuid:pk>/photo/", photo_views.photo, name="photo"),
    path("cases/<uuid:pk>/heat/", photo_views.heat, name="heat"),
    path("cases/<uuid:pk>/photos/<uuid:image>/", photo_views.other_photo, name="other-photo"),
    path("cases/<uuid:pk>/ahead/", reading_views.ahead, name="ahead"),
    path("cases/<uuid:pk>/amend/", amendment_views.amend_page, name="amend"),
    path("cases/<uuid:pk>/claim/", reading_views.claim, name="claim"),
    path("cases/<uuid:pk>/skip/", reading_views.skip, name="skip"),
    path("cases/<uuid:pk>/renew/", reading_views.renew, name="renew"),
    path("cases/<uuid:pk>/leave/", reading_views.leave, name="leave"),
]
