"""Who may open the review pages: permission names, view decorators, and the lookup of a case."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache

from cataract.core.http.users import user_of
from review.cases.models import ReviewCase

READ = "review.read_reviewcase"
ADJUDICATE = "review.adjudicate_reviewcase"
ASSIGN = "review.assign_reviewcase"
MANAGE_READERS = "review.manage_readers"
VIEW_CASES = "review.view_reviewcase"
VIEW_READINGS = "review.view_reading"

View = Callable[..., HttpResponseBase]


def has_any(user: User, *permissions: str) -> bool:
    """Whether this user has at least one of these permissions."""
    return any(user.has_perm(name) for name in permissions)


def reviewers_only(view: View) -> View:
    """For readers and adjudicators; other signed-in users get 403."""
    return _only_with(view, READ, ADJUDICATE)


def readers_only(view: View) -> View:
    """For those who read cases; other signed-in users get 403."""
    return _only_with(view, READ)


def managers_only(view: View) -> View:
    """For those who choose practice cases and lift pauses; other signed-in users get 403."""
    return _only_with(view, MANAGE_READERS)


def readers_and_managers_only(view: View) -> View:
    """For both of them; other signed-in users get 403."""
    return _only_with(view, READ, MANAGE_READERS)


def adjudicators_only(view: View) -> View:
    """For adjudicators; other signed-in users get 403."""
    return _only_with(view, ADJUDICATE)


def overseers_only(view: View) -> View:
    """For adjudicators and users who may view every reading; other signed-in users get 403."""
    return _only_with(view, ADJUDICATE, VIEW_READINGS)


def _only_with(view: View, *permissions: str) -> View:
    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not has_any(user_of(request), *permissions):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def find_case(pk: UUID) -> ReviewCase:
    """The case with its photo and prediction. Raises Http404 when there is none, or its photo is deleted."""
    cases = ReviewCase.objects.of_photos_in_use().select_related("image__patient", "prediction")
    case: ReviewCase = get_object_or_404(cases, pk=pk)
    return case
