"""Addresses of the review API, under /api/v1/."""

from django.urls import URLPattern, path

from review import api, api_similar

urlpatterns: list[URLPattern] = [
    path("predictions/<uuid:prediction_id>/similar", api_similar.Similar.as_view(), name="api-similar"),
    path("review/queue", api.QueueView.as_view(), name="review-queue"),
    path("review/next", api.NextView.as_view(), name="review-next"),
    path("review/cases/<uuid:pk>", api.CaseView.as_view(), name="review-case"),
    path("review/cases/<uuid:pk>/photo", api.PhotoView.as_view(), name="review-photo"),
    path("review/cases/<uuid:pk>/answer", api.AnswerView.as_view(), name="review-answer"),
    *(
        path(f"review/cases/<uuid:pk>/{act}", api.ActView.as_view(act=act), name=f"review-{act}")
        for act in ("claim", "renew", "release", "skip", "undo")
    ),
]
