"""Who may open the review pages, and what every one of them needs."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache

from cataract.core.http.users import user_of
from review.cases import permissions
from review.cases.models import ReviewCase

View = Callable[..., HttpResponse]


def reviewers_only(view: View) -> View:
    """For readers and adjudicators; everybody else is told so (403)."""

    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not any(user_of(request).has_perm(name) for name in (permissions.READ, permissions.ADJUDICATE)):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def find_case(pk: UUID) -> ReviewCase:
    """The case with its photo and prediction, or 404."""
    case: ReviewCase = get_object_or_404(ReviewCase.objects.select_related("image", "prediction"), pk=pk)
    return case


READ = "review.read_reviewcase"
ADJUDICATE = "review.adjudicate_reviewcase"
Person = User | AbstractBaseUser | AnonymousUser
