"""Who may open the review pages, and what every one of them needs."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache

from review import queue
from review.models import ReviewCase

View = Callable[..., HttpResponse]


def reviewers_only(view: View) -> View:
    """For readers and adjudicators; everybody else is told so (403)."""

    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not any(person_of(request).has_perm(name) for name in (queue.READ, queue.ADJUDICATE)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def person_of(request: HttpRequest) -> User:
    """The one who is logged in; only for views behind `login_required`."""
    assert isinstance(request.user, User)
    return request.user


def find_case(pk: UUID) -> ReviewCase:
    """The case with its photo and prediction, or 404."""
    case: ReviewCase = get_object_or_404(ReviewCase.objects.select_related("image", "prediction"), pk=pk)
    return case
