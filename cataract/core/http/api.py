"""What API views share: scopes, pagination, idempotent POSTs, and descriptions of refusals."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.db import models
from django.urls import ResolverMatch
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from cataract.core import idempotency
from cataract.core.http.problems import CONTENT_TYPE
from cataract.core.http.serializers import ProblemSerializer
from cataract.core.http.users import user_of
from cataract.core.models import ApiToken

Row = TypeVar("Row", bound=models.Model)


def has_scope(scope: str, permission: str = "") -> type[BasePermission]:
    """A permission class: the user has `permission`, and a key, if one is used, has `scope`."""

    class HasScope(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            user = request.user
            if not user or not user.is_authenticated or (permission and not user.has_perm(permission)):
                return False
            return not isinstance(request.auth, ApiToken) or scope in request.auth.scopes

    return HasScope


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    location=OpenApiParameter.HEADER,
    description="The same key and body count once in 24 hours: a repeated request gets what the first one made, in its "
    "present state, with the header `Idempotency-Replayed: true`. Another body gets 422; a repeat while the first "
    "request is still running gets 409. After a refusal the key is free again.",
)


def post_once(request: Request, make: Callable[[], Row], answer: Callable[[Row], Response]) -> Response:
    """Return `answer(make())`; a repeated Idempotency-Key with the same body gets the row of the first request instead.

    `make` only writes rows (it runs in a transaction). Raises what `make` raises, IdempotencyKeyReused, RequestRunning.
    """
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return answer(make())
    body = json.dumps([request.path, request.data], sort_keys=True).encode()
    claim = idempotency.claim_key(
        user=user_of(request),
        endpoint=f"POST {cast(ResolverMatch, request.resolver_match).view_name}",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
    )
    row, replayed = idempotency.make_once(claim, make)
    return marked(answer(row), replayed)


def marked(response: Response, replayed: bool) -> Response:
    """The response, with `Idempotency-Replayed: true` when it repeats an earlier answer."""
    if replayed:
        response["Idempotency-Replayed"] = "true"
    return response


def problems(*statuses: int) -> dict[Any, Any]:
    """The schema of refusals with these statuses, and of 429, which every caller may get."""
    return {(status, CONTENT_TYPE): OpenApiResponse(ProblemSerializer) for status in (*statuses, 429)}


class NewestFirst(CursorPagination):
    """Pages that stay right while new rows arrive."""

    ordering = ("-created_at", "pk")
