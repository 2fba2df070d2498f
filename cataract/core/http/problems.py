"""Every refusal of the API as application/problem+json (RFC 9457).

The body: type, title, status, code, detail and, where they apply, field, errors (by field), existing.
"""

import logging
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation, TooManyFilesSent
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from cataract.core.errors import DomainError, of_database

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler. Returns None for an unexpected exception, which becomes a logged 500."""
    if isinstance(error, DomainError):
        answer = _of_domain_error(error)
    elif isinstance(error, OperationalError):
        log.warning("The database did not answer: %s", error)
        answer = _of_domain_error(of_database(error))
    else:
        found = _of_framework_error(error)
        if found is None:
            return None
        answer = found
    set_rollback()
    return answer


def _of_domain_error(error: DomainError) -> Response:
    extra: dict[str, Any] = {}
    if error.existing:
        extra["existing"] = error.existing
    if errors := getattr(error, "errors", None):
        extra["errors"] = errors
    answer = _problem(error.status, error.code, error.message, field=error.field, **extra)
    if error.retry_after is not None:
        answer["Retry-After"] = str(error.retry_after)
    return answer


def _of_framework_error(error: Exception) -> Response | None:
    if isinstance(error, TooManyFilesSent):
        limit = settings.DATA_UPLOAD_MAX_NUMBER_FILES
        return _problem(413, "too_many_files", f"One form takes at most {limit} files. Send more as one ZIP.")
    if isinstance(error, SuspiciousOperation):
        return _problem(400, "bad_request", "Malformed or oversized request.")
    if isinstance(error, Http404):
        return _problem(404, "not_found", "Not found, or not visible to you.")
    if isinstance(error, PermissionDenied):
        return _problem(403, "forbidden", "You may not do this.")
    if isinstance(error, exceptions.ValidationError):
        return _of_fields(error)
    if not isinstance(error, exceptions.APIException):
        return None
    answer = _problem(error.status_code, str(error.default_code), str(error.detail))
    if getattr(error, "auth_header", None):
        answer["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    if getattr(error, "wait", None):
        answer["Retry-After"] = str(int(error.wait) + 1)  # type: ignore[attr-defined]
    return answer


def _of_fields(error: exceptions.ValidationError) -> Response:
    detail = error.detail if isinstance(error.detail, dict) else {"request": error.detail}
    errors = {field: [str(line) for line in _lines(lines)] for field, lines in detail.items()}
    field, lines = next(iter(errors.items()))
    return _problem(422, "invalid", f"{field}: {lines[0]}", field=field, errors=errors)


def _lines(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else [found]


def problem_body(status: int, code: str, detail: str, *, field: str = "", **extra: Any) -> dict[str, Any]:
    """The members of a problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    return {**body, **({"field": field} if field else {}), **extra}


def _problem(status: int, code: str, detail: str, *, field: str = "", **extra: Any) -> Response:
    body = problem_body(status, code, detail, field=field, **extra)
    return Response(body, status=status, content_type=CONTENT_TYPE)
