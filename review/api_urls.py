"""Addresses of the review API, under /api/v1/."""

from django.urls import URLPattern, path

from review.acceptance import api as acceptance_api
from review.labels import api as labels_api
from review.outcomes import api as outcomes_api
from review.reading import api as reading_api

urlpatterns: list[URLPattern] = [
    path("predictions/<uuid:prediction_id>/similar", labels_api.Similar.as_view(), name="api-similar"),
    path("acceptance", acceptance_api.AcceptanceView.as_view(), name="api-acceptance"),
    path("outcomes", outcomes_api.Outcomes.as_view(), name="api-outcomes"),
    path("review/queue", reading_api.QueueView.as_view(), name="review-queue"),
    path("review/next", reading_api.NextView.as_view(), name="review-next"),
    path("review/cases/<uuid:pk>", reading_api.CaseView.as_view(), name="review-case"),
    path("review/cases/<uuid:pk>/photo", reading_api.PhotoView.as_view(), name="review-photo"),
    path("review/cases/<uuid:pk>/answer", reading_api.AnswerView.as_view(), name="review-answer"),
    path("review/cases/<uuid:pk>/amend", reading_api.AmendView.as_view(), name="review-amend"),
    path("review/cases/<uuid:pk>/reopen", reading_api.ReopenView.as_view(), name="review-reopen"),
    *(
        path(f"review/cases/<uuid:pk>/{act}", reading_api.ActView.as_view(act=act), name=f"review-{act}")
        for act in ("claim", "renew", "release", "skip", "undo")
    ),
]
